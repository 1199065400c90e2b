"""Names as sources spell them: of image files, which must be safe, and of categories and folders, which vary."""

import re

LONGEST = 255
"""Bytes of a file name that file systems take."""


def image_name_flaw(name: object) -> str:
    """What is wrong with the name of an image file, or an empty string.

    A name comes from outside and becomes part of a path and of an id: it must be a plain file name.
    """
    if not isinstance(name, str) or not name.strip():
        return "image without a name"
    if "/" in name or "\\" in name or name in (".", "..") or "\0" in name:
        return "image name leaves its folder"
    if not _is_unicode(name):
        return "image name is not Unicode"
    if len(name.encode()) > LONGEST:
        return "image name too long for a file"
    return ""


def image_path_flaw(path: object) -> str:
    """What is wrong with the path of an image file within a source, or an empty string.

    A path comes from outside: it must be relative and stay in its folder.
    """
    if not isinstance(path, str) or not path.strip():
        return "image without a name"
    if "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        return "image path leaves its folder"
    if not _is_unicode(path):
        return "image name is not Unicode"
    return ""


def plain(name: str) -> str:
    """A name without capitals, blanks, dashes and underscores: spellings of one name become equal."""
    return re.sub(r"[\s_-]+", "", name).lower()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON may hold half of a surrogate pair
        return False
    return True
