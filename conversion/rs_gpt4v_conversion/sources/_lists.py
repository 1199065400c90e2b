"""Official lists of a dataset's images: text files with one id a line, one file a split."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Note
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._lines import load_lines

ID = re.compile("[0-9]+")


@dataclass(frozen=True, slots=True)
class Lists:
    """Which image belongs to which split."""

    splits: dict[str, str]  # by id, in the order of the splits and of their lists
    notes: tuple[Note, ...]


def read_lists(folder: Folder, where: Path, splits: Mapping[str, str]) -> Lists:
    """Read the lists that are in a folder.

    An image in two lists stays in the later split (train, validation, test: what may be tested is not trained on), and
    one that is twice in the same list counts once; each with a note.

    Args:
        folder: The source's folder.
        where: The lists' folder.
        splits: Our names of the splits by theirs, `<theirs>.txt` being the file's name, in the order of the splits.

    Raises:
        SourceError: No list is there, or one holds something else than ids.
    """
    found: dict[str, str] = {}
    notes: list[Note] = []
    read = 0
    for theirs, split in splits.items():
        path = where / f"{theirs}.txt"
        if not path.exists():
            notes.append(Note(reason=f"no file of the official split {theirs!r} in the folder"))
            continue
        read += 1
        for image in _ids(folder, path):
            if found.get(image) == split:
                notes.append(Note(reason="image twice in an official list, counted once"))
            elif image in found:
                notes.append(Note(reason="image in two official lists, kept in the later split"))
            found[image] = split
    if not read:
        raise SourceError(where, "none of them", ", ".join(f"{name}.txt" for name in splits), do="check `root`")
    order = list(splits.values())
    ordered = dict(sorted(found.items(), key=lambda item: order.index(item[1])))
    return Lists(ordered, tuple(notes))


def annotated(lists: Lists, files: Collection[str], where: Path) -> tuple[list[tuple[str, str]], tuple[Note, ...]]:
    """The listed images that have an annotation file, with their splits; notes count what has no counterpart.

    Args:
        lists: The official lists.
        files: Ids that have an annotation file.
        where: The annotation files' folder.

    Raises:
        SourceError: No image has one.
    """
    pairs = [(image, split) for image, split in lists.splits.items() if image in files]
    if not pairs:
        found = f"an annotation file of none of the {len(lists.splits):,} images in the official lists"
        raise SourceError(where, found, "<id>.xml", do="check `root`")
    missing, unlisted = len(lists.splits) - len(pairs), len(files) - len(pairs)
    notes = []
    if missing:
        notes.append(Note(reason="image of the official lists without an annotation file, left out", count=missing))
    if unlisted:
        notes.append(Note(reason="annotation file of an image in no official list, left out", count=unlisted))
    return pairs, tuple(notes)


def _ids(folder: Folder, path: Path) -> list[str]:
    lines = load_lines(folder, path, "one id a line")
    for number, name in lines:
        if not ID.fullmatch(name):
            do = "is it another dataset's list, or one of a single category?"
            raise SourceError(path, repr(name[:60]), "an id of digits", record=f"line {number}", do=do)
    return [name for _, name in lines]
