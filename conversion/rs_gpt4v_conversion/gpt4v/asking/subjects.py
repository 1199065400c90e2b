"""The images that a model can be asked about, with all that their annotations say: one `Subject` an image and split.

A source is read as a build reads it (`limit`, `max_side` and tiles included), and never held: only the ids of its
images are. What it says of one image in several annotations is gathered while they follow each other.

    objects       of a scene or an annotation, as they are, so that a position in them is one in the row's objects
    searched      of a scene: categories of which every object is marked and nothing is in doubt, by the rule of
                  scenes.py. Annotations have none: a source of expressions marks the objects that it speaks of
    captions      the different ones, without those that a build rejects
    expressions   what grounding and region captioning say of single objects

An image of which nothing is said but questions and answers gives no subject, and neither does one without an object
that could be listed and without a caption. Both are counted, and so is an image that comes again.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from rs_gpt4v_conversion.config import Config, SourceSpec
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.listing import listed
from rs_gpt4v_conversion.gpt4v.records import Facts, Subject
from rs_gpt4v_conversion.reading import chosen_images, clash, read_items
from rs_gpt4v_conversion.records import Annotation, Caption, Object, Pair, Referring, Region, Scene
from rs_gpt4v_conversion.scenes import sight
from rs_gpt4v_conversion.sources import Folder, Source
from rs_gpt4v_conversion.verify import pair_flaw

TELLING = frozenset({"captioning", "grounding", "region_captioning"})
"""Tasks of sources that have something to tell a model about an image."""

NOTHING = "image without an object to list or a caption: not asked about"


def chosen_sources(config: Config) -> tuple[SourceSpec, ...]:
    """The sources that `[gpt4v] sources` names, or else all that have objects, captions or expressions.

    An import of conversations is none: its answers are there already.

    Raises:
        UsageError: One is named that has nothing to tell.
    """
    named = None if config.gpt4v is None else config.gpt4v.sources
    if named is None:
        return tuple(spec for spec in config.sources if _tells(spec.source))
    specs = tuple(spec for spec in config.sources if spec.name in named)
    for spec in specs:
        if not _tells(spec.source):
            found = "imported conversations" if spec.source.imported else "questions and answers alone"
            raise UsageError(
                f"{config.path}, [gpt4v]: sources names {spec.name!r}, which has {found}; expected sources with "
                "objects, captions or expressions"
            )
    return specs


def _tells(source: Source) -> bool:
    return not source.imported and (source.detects or not TELLING.isdisjoint(source.tasks))


def subjects(spec: SourceSpec, notes: Counter[str] | None = None) -> Iterator[Subject]:
    """Read a source.

    Args:
        spec: The source.
        notes: Where images that are left out are counted by reason; without it they are said on stderr at the end.

    Yields:
        The subjects in the reader's order. Width and height are None where neither annotation nor image says them.

    Raises:
        SourceError: The folder or a file of it is not what the reader expects.
    """
    counts: Counter[str] = Counter() if notes is None else notes
    seen: dict[str, set[str]] = {}  # image id: splits
    items = read_items(spec, Folder(spec.root), chosen_images(spec))
    told = (item for item in items if isinstance(item, Annotation | Scene))
    for (split, image_id), of_image in groupby(told, key=lambda i: (i.split, i.image.image_id)):
        splits = seen.setdefault(image_id, set())
        again = clash(split, splits, spec)
        splits.add(split)
        subject = _subject(spec, list(of_image), counts)
        if again:
            counts[again] += 1
        elif subject is None:
            counts[NOTHING] += 1
        else:
            yield subject
    if notes is None:
        for reason, count in counts.items():
            sys.stderr.write(f"{spec.name}: {reason} ({count:,})\n")


@dataclass(slots=True)
class _Gathered:
    """What several annotations say of one image."""

    objects: tuple[Object, ...] = ()
    captions: dict[str, None] = field(default_factory=dict)  # in order, each once
    expressions: dict[tuple[int, str], None] = field(default_factory=dict)

    def place(self, objects: tuple[Object, ...]) -> int:
        """Enter the objects of an annotation; returns the position of its first one."""
        if objects == self.objects:
            return 0
        self.objects += objects
        return len(self.objects) - len(objects)


def _subject(spec: SourceSpec, items: list[Annotation | Scene], counts: Counter[str]) -> Subject | None:
    gathered = _Gathered()
    for item in items:
        first = gathered.place(item.objects)
        if isinstance(item, Annotation):
            _gather(item, first, gathered, counts)
    scene = next((item for item in items if isinstance(item, Scene)), None)
    certain = frozenset() if scene is None else sight(scene).certain
    searched = () if scene is None else scene.searched
    said = [item for item in items if isinstance(item, Annotation)]
    image = items[0].image
    facts = Facts(
        record=f"{spec.name}/{items[0].split}/{image.image_id}",
        width=image.width,
        height=image.height,
        objects=gathered.objects,
        searched=tuple(c for c in searched if c in certain),
        uncertain=tuple(c for c in searched if c not in certain),
        captions=tuple(gathered.captions),
        expressions=tuple(gathered.expressions),
        modality=next((a.modality for a in said if a.modality), spec.source.modality),
        gsd=image.gsd,
    )
    if not facts.captions and not listed(facts):
        return None
    return Subject(
        source=spec.name,
        split=items[0].split,
        image=image,
        license=next((a.license for a in said if a.license), spec.source.license),
        facts=facts,
    )


def _gather(annotation: Annotation, first: int, gathered: _Gathered, counts: Counter[str]) -> None:
    for fact in annotation.facts:
        if isinstance(fact, Caption):
            flaw = _flaw(fact.text)
            if not flaw:
                gathered.captions[" ".join(fact.text.split())] = None
        elif isinstance(fact, Referring | Region):
            text = fact.expression if isinstance(fact, Referring) else fact.text
            flaw = _flaw(text)
            if not flaw:
                gathered.expressions[first + fact.item, " ".join(text.split())] = None
        else:
            continue
        if flaw:
            counts[f"{flaw}: not told"] += 1


def _flaw(text: str) -> str:
    """Why a build would reject a text, or an empty string: a model is told only what may be released."""
    return pair_flaw(Pair(question="?", answer=text, category="caption", dialogue=0, template=""))
