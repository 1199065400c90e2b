"""Who may import whom, and what must be equal although it is written twice."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rs_gpt4v
from rs_gpt4v_conversion import config, naming

ROOT = Path(__file__).resolve().parents[1]
OURS = {"rs_gpt4v", "rs_gpt4v_builder", "rs_gpt4v_conversion"}
ALLOWED = {
    "rs_gpt4v": set(),
    "rs_gpt4v_builder": {"rs_gpt4v", "rs_gpt4v_builder"},
    "rs_gpt4v_conversion": {"rs_gpt4v", "rs_gpt4v_conversion"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def modules(package: str) -> list[Path]:
    if package == "rs_gpt4v":
        return [ROOT / "rs_gpt4v.py"]
    return sorted(ROOT.glob(f"*/{package}/**/*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_each_side_imports_itself_and_the_contract_only(package: str) -> None:
    paths = modules(package)
    assert paths
    for path in paths:
        assert imported(path) & OURS <= ALLOWED[package], path


def test_the_contract_imports_datasets_and_what_it_brings_one_a_line() -> None:
    path = ROOT / "rs_gpt4v.py"
    assert imported(path) - set(sys.stdlib_module_names) == {"datasets", "fsspec", "pyarrow"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert len(node.names) == 1, f"line {node.lineno}: loading scripts want one a line"


def test_torchvision_is_never_imported_at_the_top_of_a_module() -> None:
    for package in ALLOWED:
        for path in modules(package):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    assert "torchvision" not in ast.unparse(node), path


@pytest.mark.parametrize("module", ["rs_gpt4v_conversion.cli", "rs_gpt4v_conversion.shards"])
def test_heavy_libraries_stay_out_of_the_command_line_and_of_the_workers(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'datasets'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": f"{ROOT / 'conversion'}:{ROOT}"})  # fmt: skip
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("sources", {"errors", "geometry", "images", "naming", "records", "sidecar", "sources", "templates"}),
        ("images", {"errors", "images", "records", "workers"}),
        ("templates", {"naming", "records", "templates"}),
        ("hub", {"errors", "files", "gates", "hub", "manifest", "progress", "release", "tables", "versions"}),
        ("stats", {"errors", "naming", "pages", "release", "rows", "stats", "tables", "templates"}),
    ],
)
def test_a_room_imports_only_what_comes_before_it(room: str, allowed: set[str]) -> None:
    """Readers know nothing of what becomes of their records, and images nothing of the sources."""
    for path in sorted((ROOT / "conversion" / "rs_gpt4v_conversion" / room).glob("*.py")):
        names = re.findall(r"from rs_gpt4v_conversion\.(\w+)", path.read_text())
        assert set(names) <= allowed, path


@pytest.mark.parametrize("room", ["release", "network", "stream", "text", "pixels", "batch"])
def test_a_room_of_the_builder_says_what_is_in_it(room: str) -> None:
    folder = ROOT / "builder" / "rs_gpt4v_builder" / room
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    listed = re.findall(r"^(\w+)  +\w", said, re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in folder.glob("[!_]*.py"))


GPT4V = ROOT / "conversion" / "rs_gpt4v_conversion" / "gpt4v"
COMMON = {"records", "schemas", "listing", "workspace"}
KNOWN_IN_GPT4V = {
    "asking": COMMON,
    "prompts": {*COMMON, "asking"},
    "checks": COMMON,
    "answers": {*COMMON, "asking", "checks"},
    "live": {*COMMON, "answers"},
    "commands": {*COMMON, "asking", "prompts", "checks", "answers", "live"},
    "stub": {*COMMON, "asking"},
}


@pytest.mark.parametrize("room", KNOWN_IN_GPT4V)
def test_a_room_of_the_gpt4v_stage_imports_only_what_comes_before_it(room: str) -> None:
    """Above all: an answer is read and judged by code that knows nothing of a server, and tests' server by nobody."""
    paths = sorted((GPT4V / room).glob("*.py"))
    assert paths
    for path in paths:
        names = re.findall(r"from rs_gpt4v_conversion\.gpt4v\.(\w+)", path.read_text())
        assert set(names) <= KNOWN_IN_GPT4V[room] | {room}, path


def test_what_all_rooms_of_the_gpt4v_stage_share_knows_none_of_them() -> None:
    for name in COMMON:
        names = re.findall(r"from rs_gpt4v_conversion\.gpt4v\.(\w+)", (GPT4V / f"{name}.py").read_text())
        assert set(names) <= COMMON, name


@pytest.mark.parametrize("folder", [GPT4V, *(GPT4V / room for room in ("asking", "answers", "live", "stub"))])
def test_a_room_of_the_gpt4v_stage_says_what_is_in_it(folder: Path) -> None:
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    listed = re.findall(r"^(\w+)  +\w", said, re.MULTILINE)
    there = {p.stem for p in folder.glob("[!_]*.py")} | {p.parent.name for p in folder.glob("*/__init__.py")}
    assert sorted(listed) == sorted(there - {"cli"})


def test_the_room_of_the_hub_says_what_is_in_it() -> None:
    folder = ROOT / "conversion" / "rs_gpt4v_conversion" / "hub"
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert re.findall(r"^(\w+)  +\S", said, re.MULTILINE) == sorted(p.stem for p in folder.glob("[!_]*.py"))


def test_sources_are_listed_without_the_libraries_that_only_rows_need() -> None:
    code = "import sys; from rs_gpt4v_conversion import cli, sources; sources.known_sources(); "
    code += "print(sorted({'numpy', 'pyarrow', 'PIL', 'yaml', 'shapely'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": f"{ROOT / 'conversion'}:{ROOT}"})  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_what_the_conversion_repeats_of_the_contract_is_equal() -> None:
    assert naming.SPLITS == rs_gpt4v.SPLITS
    assert {*rs_gpt4v.TASKS, *rs_gpt4v.SPLITS, "all", "mini"} <= config.RESERVED


def test_no_python_of_ours_asserts_on_data_or_prints() -> None:
    for package in ALLOWED:
        for path in modules(package):
            tree = ast.parse(path.read_text())
            assert not any(isinstance(n, ast.Assert) for n in ast.walk(tree)), path
            names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
            assert "print" not in names, path
