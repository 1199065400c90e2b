# Two commands do everything on a machine with Python 3.11 and a package index: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= .demo
ENVIRONMENTS ?= .bench-environments
PEERS = --environments $(ENVIRONMENTS)
BIN := $(VENV)/bin
MARK := $(VENV)/.installed

.PHONY: demo test test-long test-compat lint format bench bench-feeding bench-environments docs clean

$(MARK): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[torch,dev]'
	touch $(MARK)

demo: $(MARK)  ## draw a sample, build, check, load, stream and collate it
	@$(BIN)/python docs/demo.py $(DEMO)

test: $(MARK) lint  ## the whole suite but the long part
	$(BIN)/python -m pytest -m 'not long'

test-long: $(MARK)  ## what takes minutes
	$(BIN)/python -m pytest -m long

test-compat: $(MARK)  ## a release in every version of datasets, and all training loops; ENVS="newest train" for some
	$(BIN)/python tests/compat/run.py $(ENVS)

lint: $(MARK)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(MARK)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(MARK)  ## the numbers of benchmarks/README.md
	$(BIN)/python benchmarks/build.py
	$(BIN)/python benchmarks/reading.py

bench-feeding: $(MARK)  ## reading and batches beside others; ENVIRONMENTS, LLAVA and TOKENIZER say with whom
	$(BIN)/python benchmarks/feeding.py $(PEERS) $(if $(LLAVA),--llava $(LLAVA)) $(if $(TOKENIZER),--tokenizer $(TOKENIZER))
	$(BIN)/python benchmarks/guarantees.py $(PEERS)
	$(BIN)/python benchmarks/remote.py $(PEERS)

bench-environments:  ## the Pythons of the readers that bench-feeding compares with (9 GB)
	PYTHONPATH=benchmarks $(PYTHON) -m feed.environments $(ENVIRONMENTS)

docs: $(MARK)  ## pages that are made from the code
	$(BIN)/python -m rs_gpt4v_conversion.sources_page docs/sources.md

clean:
	rm -rf $(VENV) .venv-compat $(DEMO) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
