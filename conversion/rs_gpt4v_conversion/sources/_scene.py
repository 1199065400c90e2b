"""What a detection reader gathers of one image, object by object."""

from collections.abc import Iterable, Iterator

from rs_gpt4v_conversion.records import BoxForm, Flaw, ImageRef, Note, Object, Scene
from rs_gpt4v_conversion.sources._boxes import Placed


class Marks:
    """The objects of one image under way, what was done to them, and what could not be used.

    Attributes:
        objects: Those with a usable box, in the source's order and with its numbering.
        notes: What was repaired or left out.
    """

    def __init__(self) -> None:
        self.objects: list[Object] = []
        self.notes: list[Note] = []
        self._uncertain: set[str] = set()
        self._number = 0

    def add(self, category: str, placed: Placed, *, difficult: bool = False, ignore: bool = False) -> None:
        """Enter the next object of the source's list.

        One without a usable box is left out, and its category becomes uncertain in this image.

        Args:
            category: In our words.
            placed: Its boxes.
            difficult: The annotators' own flag.
            ignore: Not to be judged.
        """
        self.notes.extend(placed.notes)
        if placed.bbox is None:
            self._uncertain.add(category)
        else:
            self.objects.append(
                Object(
                    category=category, bbox=placed.bbox, obb=placed.obb, difficult=difficult, ignore=ignore,
                    number=self._number,
                )
            )  # fmt: skip
        self._number += 1

    def doubt(self, category: str, note: str) -> None:
        """Enter an object that cannot be read at all: its category becomes uncertain in this image."""
        self.notes.append(Note(reason=note))
        self._uncertain.add(category)
        self._number += 1

    def lose(self, categories: Iterable[str], note: str) -> None:
        """Enter an object of which not even the category can be read: it may be any of these."""
        self.notes.append(Note(reason=note))
        self._uncertain.update(categories)
        self._number += 1

    def unsure(self, *categories: str) -> None:
        """Make categories uncertain in this image: an object of theirs may be missing here, or be here twice."""
        self._uncertain.update(categories)

    def met(self, categories: Iterable[str]) -> tuple[str, ...]:
        """Those of the categories of which the source has an object here, usable or not."""
        here = {o.category for o in self.objects} | self._uncertain
        return tuple(c for c in categories if c in here)

    def scene(self, split: str, image: ImageRef, searched: tuple[str, ...], boxes: BoxForm) -> Scene:
        """The scene of these objects."""
        return Scene(
            split=split, image=image, objects=tuple(self.objects), searched=searched,
            uncertain=tuple(sorted(self._uncertain)), boxes=boxes,
        )  # fmt: skip

    def flaws(self, split: str, image_id: str, reason: str, detail: str) -> Iterator[Flaw | Note]:
        """A rejected pair for each category of an image that cannot be used as a whole; a note where there is none."""
        categories = sorted({o.category for o in self.objects if not o.ignore})
        if not categories:
            yield Note(reason=f"{reason} (without objects to ask about)")
        for category in categories:
            yield Flaw(
                task="grounding", split=split, image_id=image_id, record=f"{image_id} {category}",
                reason=reason, detail=detail,
            )  # fmt: skip
