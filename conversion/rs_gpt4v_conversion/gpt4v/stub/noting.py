"""What a question tells of its image: the text that describing.py and the prompts write, read back."""

import json
import re
from dataclasses import dataclass

from rs_gpt4v_conversion.gpt4v.asking.describing import Line, read_lines

_SIZE = re.compile(r"^Image: (.+?); (\d+) x (\d+) pixels", re.MULTILINE)
_NUMBER = re.compile(r"(.+?) (at least )?(\d+)(?:, |$)")
_PART = re.compile(r"^(top left|top|top right|left|center|right|bottom left|bottom|bottom right): (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """Facts of a question."""

    lines: tuple[Line, ...] = ()
    seen: dict[int, tuple[str, ...]]  # what the local answer says of an object: attributes, then a sentence
    numbers: dict[str, int]  # of a category, at least
    exact: frozenset[str]  # categories whose number is that, and no more
    absent: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    scene: str = ""  # of an earlier answer
    sentences: tuple[str, ...] = ()  # of its layout, regions and summary
    optical: bool = True
    aspect: float = 1.0  # width by height

    @property
    def clear(self) -> tuple[Line, ...]:
        """Objects of which something can be said."""
        return tuple(line for line in self.lines if not line.too_small)

    def of(self, category: str) -> list[int]:
        """Numbers of the listed objects of a category."""
        return [line.number for line in self.lines if line.category == category]


def read_notes(user: str) -> Notes:
    """Read a question; what is not there is empty."""
    size = _SIZE.search(user)
    numbers, exact = {}, set()
    for category, least, count in _NUMBER.findall(_after(user, "Numbers")):
        numbers[category] = int(count)
        if not least:
            exact.add(category)
    told = [_after(user, "Layout"), *(content for _, content in _PART.findall(user)), _after(user, "Summary")]
    return Notes(
        lines=tuple(read_lines(user)),
        seen=_seen(user),
        numbers=numbers,
        exact=frozenset(exact),
        absent=tuple(filter(None, _after(user, "Absent for certain").split(", "))),
        captions=_captions(user),
        scene=_after(user, "Scene"),
        sentences=tuple(dict.fromkeys(s for text in told for s in sentences(text))),
        optical=size is None or size[1].startswith("optical"),
        aspect=1.0 if size is None else int(size[2]) / int(size[3]),
    )


def sentences(text: str) -> list[str]:
    """The sentences of a text, with their points."""
    return [part.strip() for part in re.split(r"(?<=[.!?])\s+", text) if part.strip(" .!?")]


def _after(user: str, name: str) -> str:
    """The rest of the line that begins with a name and a colon."""
    match = re.search(rf"^{name}: (.+)$", user, re.MULTILINE)
    return match[1] if match else ""


def _seen(user: str) -> dict[int, tuple[str, ...]]:
    found = {}
    for number, words in re.findall(r"^(\d+) \| .*\n   seen: (.+)$", user, re.MULTILINE):
        found[int(number)] = tuple(re.sub(r"; \([^()]*\)$", "", words).split("; "))
    return found


def _captions(user: str) -> tuple[str, ...]:
    lines = user.partition("\nCaptions:\n")[2].splitlines()
    found = []
    for line in lines:
        if not line.startswith('"'):
            break
        try:
            found.append(str(json.loads(line)))
        except ValueError:
            break  # the question was cut
    return tuple(found)
