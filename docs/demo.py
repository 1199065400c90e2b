"""The whole way once, on a drawn sample: every step shows the command to type oneself and what comes out."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Nothing here asks the Hub for anything, and the demo's copies do not belong into the user's cache
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1")


def say(text: str = "") -> None:
    """A line for the reader."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(*words: str) -> None:
    """Show a command and run it."""
    say(f"\n$ rs-gpt4v {' '.join(words)}")
    command = Path(sys.executable).with_name("rs-gpt4v")
    if subprocess.run([command, *words], check=False).returncode:
        sys.exit(f"rs-gpt4v {words[0]} failed")


@contextlib.contextmanager
def stub() -> Iterator[str]:
    """The stub as a user starts it; gives its address."""
    words = ["-m", "rs_gpt4v_conversion.gpt4v.stub"]
    say(f"\n$ python {' '.join(words)} &")
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as server:
        try:
            address = server.stdout.readline().strip() if server.stdout else ""
            say(address)
            yield address
        finally:
            server.terminate()


def show(code: str, names: dict[str, object]) -> None:
    """Show lines of Python and run them."""
    say()
    for line in code.strip().splitlines():
        say(f">>> {line}")
    exec(compile(code.strip(), "demo", "exec"), names)


def main() -> None:
    """Draw, plan, let a stand-in for a model answer, build, check, load, stream, collate, look."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".demo").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    os.environ.update(HF_HOME=str(folder / "cache"), RS_GPT4V_CACHE=str(folder / "cache" / "rs-gpt4v"))
    say(f"All of this happens in {folder}")
    run("sample", "sources")
    run("plan", "sources/sources.toml")
    say("\nThe sample has requests to a model and answers to most of them. A stub of a server answers the rest:")
    run("gpt4v", "status", "sources/sources.toml")
    with stub() as address:
        run("gpt4v", "run", "sources/sources.toml", "--base-url", address)
    run("build", "sources/sources.toml", "rs-gpt4v", "--workers", "2")
    run("check", "rs-gpt4v")
    names: dict[str, object] = {"print": lambda *a: say("    " + " ".join(map(str, a)))}
    show(
        """
from datasets import load_dataset
for name in ("all", "vqa", "conversation", "hit_uav"):
    print(name, {split: rows.num_rows for split, rows in load_dataset("rs-gpt4v", name).items()})
stream = load_dataset("rs-gpt4v", "captioning", split="train", streaming=True)
print(next(iter(stream))["conversations"][:2])
plan = load_dataset("rs-gpt4v", "task_planning", split="train")[0]
print(plan["pairs"][0]["template"], "by", plan["pairs"][0]["generator"], "says:")
print(plan["conversations"][1]["value"])
""",
        names,
    )
    show(
        """
from torch.utils.data import DataLoader
from rs_gpt4v_builder import LlavaCollator
from rs_gpt4v_builder.text.tokenizer import byte_tokenizer
collate = LlavaCollator(byte_tokenizer())   # training: load_tokenizer("path/to/tokenizer.model")
rows = load_dataset("rs-gpt4v", "grounding", split="train")
batches = list(DataLoader(rows, batch_size=4, collate_fn=collate))
print(len(rows), "rows,", len(batches), "batches; the first:")
for name, tensor in batches[0].items():
    print(f"{name:15} {tuple(tensor.shape)} {tensor.dtype}")
""",
        names,
    )
    show(
        """
from rs_gpt4v_builder import Loader, Stream
stream = Stream("rs-gpt4v", "vqa", rank=0, world_size=2, pairs="one")   # what the first of two GPUs trains on
loader = Loader(stream, collate, batch_size=4, workers=2)
for epoch in range(2):
    loader.set_epoch(epoch)
    print("epoch", epoch, "has", len(loader), "batches;", sum(len(batch["labels"]) for batch in loader), "samples came")
batches = iter(loader)
first, state = next(batches), loader.state_dict()   # as a checkpoint keeps it, in mid-epoch
again = Loader(Stream("rs-gpt4v", "vqa", rank=0, world_size=2, pairs="one"), collate, batch_size=4)
again.load_state_dict(state)
print("goes on with the second batch:", bool((next(iter(again))["labels"] == next(batches)["labels"]).all()))
""",
        names,
    )
    run("look", "rs-gpt4v", "--out", "page.html")
    say(f"\nA dozen rows to look at: {folder / 'page.html'}")


if __name__ == "__main__":
    main()
