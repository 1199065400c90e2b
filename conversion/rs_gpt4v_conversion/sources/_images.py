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

    Args:
        folders: At least one. Where an image is in none of them, its path is the one that it would have in the first
            that exists, so that annotations alone can be planned.
    """

    def __init__(self, *folders: Path) -> None:
        self._home = next((folder for folder in folders if folder.is_dir()), folders[0])
        self._exact: dict[str, Path] = {}
        self._folded: dict[str, Path] = {}
        self._stems: dict[str, Path] = {}
        for folder in folders:
            for name in listing(folder):
                path = folder / name
                self._exact.setdefault(name, path)
                self._folded.setdefault(name.lower(), path)
                if path.suffix.lower() in SUFFIXES:
                    self._stems.setdefault(path.stem, path)

    def path(self, name: str, suffix: str = "") -> Path:
        """The file of an image.

        Args:
            name: As the annotations have it.
            suffix: The usual extension, dot included, where the annotations have none: files with others are found too.
        """
        full = f"{name}{suffix}"
        found = self._exact.get(full) or self._folded.get(full.lower())
        if found is None and suffix:
            found = self._stems.get(name)
        return found or self._home / full
