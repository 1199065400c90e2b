"""Image files as they really lie in a folder: an extension in another case, or one that the annotations leave out."""

from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")


def listing(folder: Path) -> list[str]:
    """Names in a folder in alphabetical order; none where it is not there or may not be read."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


class Images:
    """The image files of some folders, looked for in their order. No file is opened.

    The folders are listed when an image is not there under its very name, and not before: one may hold 590,326.

    Args:
        folders: At least one. Where an image is in none of them, its path is the one that it would have in the first
            that exists, so that annotations alone can be planned.
    """

    def __init__(self, *folders: Path) -> None:
        self._there = [folder for folder in folders if folder.is_dir()]
        self._home = self._there[0] if self._there else folders[0]
        self._listed = False
        self._folded: dict[str, Path] = {}
        self._stems: dict[str, Path] = {}

    def path(self, name: str, suffix: str = "") -> Path:
        """The file of an image.

        Args:
            name: As the annotations have it.
            suffix: The usual extension, dot included, where the annotations have none: files with others are found too.
        """
        full = f"{name}{suffix}"
        exact = next((path for folder in self._there if _is_there(path := folder / full)), None)
        if exact is not None:
            return exact
        self._list()
        found = self._folded.get(full.lower())
        if found is None and suffix:
            found = self._stems.get(name)
        return found or self._home / full

    def _list(self) -> None:
        if self._listed:
            return
        self._listed = True
        for folder in self._there:
            for name in listing(folder):
                path = folder / name
                self._folded.setdefault(name.lower(), path)
                if path.suffix.lower() in SUFFIXES:
                    self._stems.setdefault(path.stem, path)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # of a folder that may be listed and not entered
        return False
