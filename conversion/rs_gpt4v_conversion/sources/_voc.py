"""What sources with one XML file an image have in common, VOC's form above all: files, sizes, categories, boxes."""

import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Note
from rs_gpt4v_conversion.sources._boxes import upright
from rs_gpt4v_conversion.sources._folder import Folder, files_by_stem
from rs_gpt4v_conversion.sources._json import LONGEST_SIDE
from rs_gpt4v_conversion.sources._names import plain
from rs_gpt4v_conversion.sources._scene import Marks
from rs_gpt4v_conversion.sources._xml import number, text

Size = tuple[int | None, int | None]
"""Width and height of an image in pixels, where they are known."""

UNKNOWN = "unknown"
"""Stands for the category of an object whose name means nothing: not one that is looked for, so it blurs its image."""


class Vocabulary:
    """What a source's spellings of its categories mean, and whether any of them occurred.

    Capitals, blanks, dashes and underscores make no difference. A name that means nothing is the matter of one object;
    where no name at all means something, the folder is another dataset's.

    Args:
        title: The source's, for messages.
        words: Our words by the source's spellings.
    """

    def __init__(self, title: str, words: Mapping[str, str]) -> None:
        self.searched = tuple(dict.fromkeys(words.values()))
        self._title = title
        self._words = {plain(v): v for v in words.values()} | {plain(k): v for k, v in words.items()}
        self._known = False
        self._stray: SourceError | None = None

    def word(self, name: str, file: Path, record: str) -> str | None:
        """Our word for a name, or None where it means nothing.

        Args:
            name: As the source spells it.
            file: Where it is.
            record: Names the object in the file.
        """
        word = self._words.get(plain(name))
        if word is not None:
            self._known = True
        elif self._stray is None:
            expected = f"one of {self._title}'s categories: {', '.join(self.searched)}"
            self._stray = SourceError(file, repr(name), expected, record=record, do="is it another dataset's file?")
        return word

    def check(self) -> None:
        """Look back when all is read.

        Raises:
            SourceError: There were names, and none of them means anything.
        """
        if self._stray is not None and not self._known:
            raise self._stray


def xml_files(where: Path) -> dict[str, Path]:
    """The XML files of a folder, see `files_by_stem`."""
    return files_by_stem(where, ".xml")


def element(item: Element, path: str, file: Path, record: str) -> Element:
    """The element at a path below another.

    Raises:
        SourceError: There is none.
    """
    found = item.find(path)
    if found is None:
        tags = ", ".join(f"<{child.tag}>" for child in item) or "nothing"
        raise SourceError(file, tags, f"<{path}>", record=record, do="is it another dataset's file?")
    return found


def numbers(item: Element, *paths: str) -> tuple[float, ...]:
    """The numbers at paths below an element, NaN in the place of what is none."""
    values = (number(item, path) for path in paths)
    return tuple(math.nan if value is None else value for value in values)


def flag(item: Element, path: str) -> bool:
    """Whether a flag is set: `1` or `true`."""
    return text(item, path).lower() in ("1", "true")


def image_size(root: Element, folder: Folder, image: Path, width: str, height: str) -> tuple[Size, tuple[Note, ...]]:
    """The size of an image as its annotation file states it, or else as the image's header does.

    Args:
        root: The file's outermost element.
        folder: The source's folder.
        image: The image file.
        width: Path of the width below the root.
        height: Path of the height.
    """
    w, h = number(root, width), number(root, height)
    if w is not None and h is not None and min(w, h) >= 1 and max(w, h) <= LONGEST_SIDE:
        return (int(w), int(h)), ()
    size = folder.size(image)
    if size is None:
        return (None, None), (Note(reason="annotation file without the image's size, and no image that has one"),)
    return size, (Note(reason="annotation file without the image's size, taken from the image"),)


def name_note(root: Element, stem: str, path: str = "filename") -> tuple[Note, ...]:
    """A note where an annotation file names another image than its own name does, which is the one that counts."""
    stated = PurePosixPath(text(root, path).replace("\\", "/")).name
    if not stated or stem in (stated, PurePosixPath(stated).stem):
        return ()
    return (Note(reason="annotation file that names another image; its own name counts"),)


def upright_marks(root: Element, file: Path, words: Vocabulary, size: Size) -> Marks:
    """The upright boxes of a VOC file.

    Raises:
        SourceError: An object has no box.
    """
    marks = Marks()
    for i, item in enumerate(root.findall("object")):
        record = f"object[{i}]"
        category = words.word(text(item, "name"), file, record)
        box = numbers(element(item, "bndbox", file, record), "xmin", "ymin", "xmax", "ymax")
        if category is None:
            marks.doubt(UNKNOWN, STRAY)
        else:
            marks.add(category, upright(box, *size), difficult=flag(item, "difficult"))
    return marks


STRAY = "object of a category that the dataset does not have, left out"
