"""`make test-compat`: one release, read in every environment of environments.toml; a table of what holds where.

    python tests/compat/run.py                      # all of them
    python tests/compat/run.py newest datasets-2.14.7

Environments are kept in .venv-compat/, each with a file `pins` that says what it was made from.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from canonical import canonical

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEPT = ROOT / ".venv-compat"
IMAGES = 4  # a source of the sample release
AT_ONCE = 2  # environments that are made or run at a time

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Environment:
    """A line of environments.toml."""

    name: str
    pins: str
    checks: str = "loading.py"

    @property
    def python(self) -> Path:
        return KEPT / self.name / "bin" / "python"


def known_environments() -> dict[str, Environment]:
    lines = tomllib.loads((HERE / "environments.toml").read_text())
    return {name: Environment(name, **line) for name, line in lines.items()}


def python_3_11() -> str:
    found = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
    if found is None:
        sys.exit("test-compat needs Python 3.11, which the oldest environments run on; python3.11 is not on the PATH")
    return found


def make(environment: Environment) -> None:
    """Make an environment, unless it is there as its line says."""
    folder = KEPT / environment.name
    mark = folder / "pins"
    if mark.exists() and mark.read_text() == environment.pins:
        return
    say(f"making {environment.name}")
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python_3_11(), "-m", "venv", str(folder)], check=True)
    install = [str(environment.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*install, *environment.pins.split()], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{environment.name}: pip could not install {environment.pins}\n{done.stderr}")
    mark.write_text(environment.pins)


# The release and what it holds


def prepare(folder: Path) -> Path:
    """Build the releases, and write down what pyarrow alone reads in them: the file that the checks are given."""
    sources = folder / "sources"
    project("sample", sources, "--images", IMAGES)
    project("build", sources / "sources.toml", folder / "rs-gpt4v")
    builds = []
    for limit, version in enumerate(("1.0.0", "1.0.0", "1.0.1"), 1):
        lines = (
            f'version = "{version}"\ndate = "2026-01-01"\n[[source]]\nkind = "rsicd"\nroot = "RSICD"\nlimit = {limit}\n'
        )
        (sources / "small.toml").write_text(lines)
        builds.append(folder / f"build-{limit}")
        project("build", sources / "small.toml", builds[-1])
    work = folder / "work.json"
    content = {
        "release": str(folder / "rs-gpt4v"),
        "expected": {c: {s: canonical(rows) for s, rows in p.items()} for c, p in held(folder / "rs-gpt4v").items()},
        "builds": [str(build) for build in builds],
        "counts": [{split: len(rows) for split, rows in held(build)["all"].items()} for build in builds],
    }
    work.write_text(json.dumps(content))
    return work


def project(*arguments: object) -> None:
    command = [sys.executable, "-m", "rs_gpt4v_conversion", *map(str, arguments)]
    done = subprocess.run(command, env=environment_variables(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed\n{done.stderr}")


def held(release: Path) -> dict[str, dict[str, list[Row]]]:
    """Rows by config and split, from the files' own places: data/<task>/<source>/<split>-*.parquet and mini/."""
    found: dict[str, dict[str, list[Row]]] = {}
    for path in sorted(release.glob("data/*/*/*.parquet")) + sorted(release.glob("mini/*.parquet")):
        parts = path.relative_to(release).parts
        rows = pq.ParquetFile(path).read().to_pylist()
        for config in ("all", *parts[1:3]) if parts[0] == "data" else ("mini",):
            found.setdefault(config, {}).setdefault(parts[-1].split("-")[0], []).extend(rows)
    return found


# The checks


def environment_variables() -> dict[str, str]:
    paths = os.pathsep.join(str(ROOT / part) for part in (".", "builder", "conversion", "tests"))
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    return {**os.environ, **offline, "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore"}


def run(environment: Environment, work: Path) -> list[Row]:
    """Run an environment's checks: one result each, and one more where the script itself ended badly."""
    with tempfile.TemporaryDirectory() as home:
        variables = {**environment_variables(), "HF_HOME": home}
        command = [str(environment.python), str(HERE / environment.checks), str(work)]
        done = subprocess.run(command, env=variables, capture_output=True, text=True)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode or not results:
        detail = f"exit code {done.returncode}\n{done.stderr[-3000:]}"
        results.append({"check": "whole run", "state": "FAILED", "seconds": 0.0, "detail": detail})
    spent = ", ".join(f"{r['check']} {r['seconds']:.0f}" for r in results)
    say(f"{environment.name}: {sum(r['seconds'] for r in results):.0f} s ({spent})")
    return results


def table(results: dict[str, list[Row]]) -> Iterator[str]:
    checks = list(dict.fromkeys(r["check"] for part in results.values() for r in part))
    wide = max(map(len, results))
    yield "  ".join([" " * wide, *(check.ljust(len("FAILED")) for check in checks)])
    for name, part in results.items():
        states = {r["check"]: r["state"] for r in part}
        yield "  ".join(
            [name.ljust(wide), *(states.get(check, "").ljust(max(len(check), len("FAILED"))) for check in checks)]
        )


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    known = known_environments()
    names = sys.argv[1:] or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no environment is called {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [known[name] for name in names]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(make, chosen))
        work = prepare(Path(folder))
        results = dict(zip(names, pool.map(lambda e: run(e, work), chosen), strict=True))
    failed = [(name, r) for name, part in results.items() for r in part if r["state"] == "FAILED"]
    for name, result in failed:
        print(f"{name}, {result['check']}:\n{result['detail']}")
    print("\n".join(table(results)))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
