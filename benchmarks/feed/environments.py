"""The Pythons in which the cases run: one that has the project, and one for every group of peers.

    python -m feed.environments FOLDER      makes those that are missing (about 9 GB: torchvision brings a CUDA torch)

A benchmark is told where they are with `--environments FOLDER`, or `--python NAME=PATH` for one of them. Cases whose
environment is missing are reported as such.
"""

import argparse
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

OURS = "ours"

REQUIREMENTS: dict[str, list[list[str]]] = {
    # what the original code pins, but torch, whose pinned release is of another age
    "orig": [
        ["torch==2.13.0", "transformers==4.37.2", "tokenizers==0.15.1", "sentencepiece==0.1.99", "accelerate==0.21.0"],
        ["numpy<2", "pillow", "protobuf", "requests", "einops"],
    ],
    "hfpil": [["torch==2.13.0", "transformers>=5", "sentencepiece", "protobuf", "pillow"]],
    "peers": [
        ["torch==2.13.0", "torchdata", "webdataset", "litdata", "datasets", "aiohttp", "fsspec[http]"],
        ["simplejpeg", "tokenizers", "pillow"],
    ],
    # the second line overrides a pin of mosaicml-streaming (transformers<5), which takes two names from it
    "tv": [
        ["torch==2.14.1", "torchvision==0.29.1", "mosaicml-streaming", "simplejpeg", "sentencepiece", "protobuf"],
        ["transformers>=5"],
    ],
}
"""What pip installs in each environment, call after call.

`orig`: the original LLaVA code. `hfpil`: transformers with Pillow. `tv`: transformers with torchvision, and
mosaicml-streaming, which cannot be imported without torchvision. `peers`: the other readers.
"""


@dataclass(frozen=True)
class Environments:
    """Where the Pythons are, and the checkout of the original code.

    Attributes:
        pythons: Path of the Python by the environment's name.
        llava: A checkout of haotian-liu/LLaVA, or None.
    """

    pythons: dict[str, Path]
    llava: Path | None

    def missing(self, environment: str) -> str | None:
        """Why a case of this environment cannot run, or None."""
        if environment == "orig" and (self.llava is None or not (self.llava / "llava").is_dir()):
            return "no checkout of LLaVA (--llava)"
        if environment not in self.pythons:
            return f"no environment {environment!r} (make bench-environments, --environments, --python)"
        return None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options that say where the environments are."""
    parser.add_argument("--environments", type=Path, help="folder with an environment of every name that has one")
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH", help="Python of one environment")
    parser.add_argument("--llava", type=Path, help="checkout of haotian-liu/LLaVA, v1.2.2.post1")


def find(options: argparse.Namespace) -> Environments:
    """The environments that the options name; the project's own is this Python unless named."""
    pythons = {OURS: Path(sys.executable)}
    for name in REQUIREMENTS:
        path = options.environments and options.environments / name / "bin" / "python"
        if path and path.exists():
            pythons[name] = path.absolute()
    for given in options.python:
        name, _, path = given.partition("=")
        pythons[name] = Path(path).absolute()
    return Environments(pythons, options.llava and options.llava.absolute())


def make(folder: Path) -> None:
    """Make the environments that are not there."""
    for name, calls in REQUIREMENTS.items():
        if not (folder / name).exists():
            venv.create(folder / name, with_pip=True)
            for requirements in calls:
                pip = [folder / name / "bin" / "python", "-m", "pip", "install", "--quiet", *requirements]
                subprocess.run(pip, check=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
