"""Which images a model is asked about, and what is known of them."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rs_gpt4v_conversion.config import Config, SourceSpec, load_config
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.asking.subjects import NOTHING, chosen_sources, subjects
from rs_gpt4v_conversion.gpt4v.listing import listed
from rs_gpt4v_conversion.gpt4v.prompts import render
from rs_gpt4v_conversion.gpt4v.records import Facts, Subject
from rs_gpt4v_conversion.reading import Tally, read_source
from rs_gpt4v_conversion.records import (
    Annotation,
    Caption,
    Draft,
    Fact,
    Grounding,
    ImageRef,
    Note,
    Object,
    Question,
    Referring,
    Region,
    Scene,
)
from rs_gpt4v_conversion.sample import SOURCES
from rs_gpt4v_conversion.sources import Folder, Options
from shared import shared

SILENT = {"rsvqa_lr", "rsvqa_hr", "rsvqaxben", "floodnet_vqa", "rsivqa", "llava"}
"""Kinds with questions and answers alone, and the import."""


@pytest.fixture(scope="module")
def config(sample: Path) -> Config:
    """All sources of the sample, as if its [gpt4v] table named none."""
    config = load_config(sample / "sources.toml")
    return replace(config, gpt4v=None)


def spec_of(config: Config, kind: str) -> SourceSpec:
    return next(spec for spec in config.sources if spec.source.kind == kind)


# which sources -------------------------------------------------------------------------------------------------------


def test_all_sources_that_have_something_to_tell_are_chosen(config: Config) -> None:
    assert {spec.name for spec in chosen_sources(config)} == set(SOURCES) - SILENT


def test_the_named_sources_are_chosen(small: Callable[..., Path]) -> None:
    path = small("rsicd", "dior")
    path.write_text(path.read_text() + '[gpt4v]\nsources = ["dior"]\n')
    assert [spec.name for spec in chosen_sources(load_config(path))] == ["dior"]


@pytest.mark.parametrize(
    ("kind", "found"), [("llava", "imported conversations"), ("rsvqa_lr", "questions and answers alone")]
)
def test_a_source_with_nothing_to_tell_cannot_be_named(small: Callable[..., Path], kind: str, found: str) -> None:
    path = small("rsicd", kind, more='annotations = "train.json"' if kind == "llava" else "")
    text = path.read_text()
    if kind == "llava":
        text = text.replace('annotations = "train.json"', "", 1)
    path.write_text(text + f'[gpt4v]\nsources = ["{kind}"]\n')
    with pytest.raises(UsageError, match=f"sources names '{kind}', which has {found}"):
        chosen_sources(load_config(path))


# the drawn sample ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(set(SOURCES) - SILENT))
def test_subjects_agree_with_the_rows_of_a_build(config: Config, kind: str) -> None:
    """What a subject says of an image is what its rows say, and images without a subject are counted."""
    spec = spec_of(config, kind)
    notes: Counter[str] = Counter()
    found = list(subjects(spec, notes))
    assert found and len({s.record for s in found}) == len(found)
    rows: dict[tuple[str, str], list[Draft]] = {}
    for draft in read_source(spec, Tally()):
        rows.setdefault((draft.split, draft.image.image_id), []).append(draft)
    for subject in found:
        # in doubtful images a build asks nothing
        facts, drafts = subject.facts, rows.get((subject.split, subject.image.image_id), [])
        assert subject.record == f"{spec.name}/{subject.split}/{subject.image.image_id}"
        assert drafts or not facts.searched
        for draft in drafts:
            assert (draft.license, draft.modality) == (subject.license, facts.modality)
            assert (draft.image, draft.objects) == (subject.image, facts.objects)
        assert not set(facts.searched) & set(facts.uncertain)
        assert facts.captions or listed(facts)
        answers = {p.answer for d in drafts for p in d.pairs if p.category == "caption"}
        assert {" ".join(a.split()) for a in answers} == set(facts.captions)
        stage = "local" if listed(facts) else "global"
        assert render(stage, facts, boxes="obb", width=facts.width or 224, height=facts.height or 224).user
    # of the others nothing but absence is known
    left_out = [drafts for key, drafts in rows.items() if key not in {(s.split, s.image.image_id) for s in found}]
    assert not any(p.category in ("caption", "grounding", "region") for ds in left_out for d in ds for p in d.pairs)
    assert len(left_out) <= notes[NOTHING]


@pytest.mark.parametrize("kind", ["rsvqa_lr", "floodnet_vqa", "llava"])
def test_images_with_questions_alone_give_no_subject(config: Config, kind: str) -> None:
    notes: Counter[str] = Counter()
    assert list(subjects(spec_of(config, kind), notes)) == []
    assert notes[NOTHING] > 0


def test_subjects_are_the_same_every_time(config: Config) -> None:
    spec = spec_of(config, "dota")
    assert list(subjects(spec, Counter())) == list(subjects(spec, Counter()))


def test_limit_and_tiles_are_those_of_a_build(config: Config) -> None:
    spec = replace(spec_of(config, "dota"), limit=5, max_side=300)
    found = list(subjects(spec, Counter()))
    kept = {d.image.image_id for d in read_source(spec, Tally())}
    assert found and {s.image.image_id for s in found} <= kept
    assert len({s.image.parent or s.image.image_id for s in found}) <= 5
    assert any(s.image.parent for s in found)
    assert all(s.image.max_side == 300 and (s.facts.width or 0) > 300 for s in found)


def test_what_is_left_out_is_said_on_stderr_where_nobody_counts(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    list(subjects(spec_of(config, "hit_uav")))
    assert f"hit_uav: {NOTHING} (1)" in capsys.readouterr().err


# gathering -----------------------------------------------------------------------------------------------------------

SHIP = Object(category="ship", bbox=(1.0, 2.0, 30.0, 40.0))
CROWD = Object(category="ship", bbox=(1.0, 2.0, 9.0, 9.0), ignore=True)


def image(name: str) -> ImageRef:
    return ImageRef(image_id=name, source_id=name, path=Path(name), image_path=name, width=100, height=80, gsd=0.5)


def said(task: str, name: str, *facts: Fact, split: str = "train", objects: tuple[Object, ...] = ()) -> Annotation:
    return Annotation(task=task, split=split, image=image(name), facts=facts, objects=objects)


@pytest.fixture
def made(config: Config) -> Callable[..., tuple[list[Subject], Counter[str]]]:
    """Subjects of a source whose reader yields the given items."""

    def run(*items: Annotation | Scene | Note, shares: bool = False) -> tuple[list[Subject], Counter[str]]:
        def read(_folder: Folder, _options: Options) -> Iterator[Annotation | Scene | Note]:
            yield from items

        spec = spec_of(config, "rsicd")
        spec = replace(spec, source=replace(spec.source, read=read, shares_images=shares))
        notes: Counter[str] = Counter()
        return list(subjects(spec, notes)), notes

    return run


Made = Callable[..., tuple[list[Subject], Counter[str]]]


def test_annotations_of_one_image_are_one_subject(made: Made) -> None:
    objects = (SHIP, replace(SHIP, bbox=(50.0, 2.0, 60.0, 40.0)))
    (subject,), notes = made(
        said("grounding", "a", Referring(expression="the left  one", item=0), objects=objects),
        Note(reason="a box was cut"),
        said("region_captioning", "a", Region(text="the left one", item=0), Region(text="b", item=1), objects=objects),
        said("captioning", "a", Caption(text="two ships"), Caption(text="two ships"), Caption(text=" .")),
    )
    assert subject.facts == Facts(
        record="rsicd/train/a", width=100, height=80, objects=objects, captions=("two ships",),
        expressions=((0, "the left one"), (1, "b")), gsd=0.5,
    )  # fmt: skip
    assert notes == {"blank caption: not told": 1}


def test_objects_that_differ_between_annotations_are_all_there(made: Made) -> None:
    other = replace(SHIP, category="harbor")
    (subject,), _ = made(
        said("grounding", "a", Referring(expression="a", item=0), objects=(SHIP,)),
        said("region_captioning", "a", Region(text="b", item=0), objects=(other,)),
    )
    assert subject.facts.objects == (SHIP, other)
    assert subject.facts.expressions == ((0, "a"), (1, "b"))


def test_an_image_that_comes_again_is_counted_and_left_out(made: Made) -> None:
    one, other = said("captioning", "a", Caption(text="a ship")), said("captioning", "b", Caption(text="a boat"))
    again = said("captioning", "a", Caption(text="two ships"))
    elsewhere = said("captioning", "b", Caption(text="a boat"), split="test")
    found, notes = made(one, other, again, elsewhere)
    assert [(s.record, s.facts.captions) for s in found] == [
        ("rsicd/train/a", ("a ship",)), ("rsicd/train/b", ("a boat",)),
    ]  # fmt: skip
    assert notes == {"image listed twice": 1, "image is also in the train split of this source": 1}
    found, notes = made(other, elsewhere, shares=True)
    assert [s.split for s in found] == ["train", "test"] and not notes


def scene(*objects: Object, searched: tuple[str, ...] = ("ship", "harbor"), uncertain: tuple[str, ...] = ()) -> Scene:
    return Scene(split="train", image=image("a"), objects=objects, searched=searched, uncertain=uncertain)


@pytest.mark.parametrize(
    ("given", "searched", "uncertain"),
    [
        (scene(SHIP), ("ship", "harbor"), ()),
        (scene(SHIP, uncertain=("harbor",)), ("ship",), ("harbor",)),
        (scene(SHIP, CROWD), ("harbor",), ("ship",)),
        (scene(SHIP, replace(CROWD, category="don't care")), (), ("ship", "harbor")),
        (scene(SHIP, uncertain=("unknown",)), (), ("ship", "harbor")),
    ],
)
def test_only_what_is_in_no_doubt_counts_as_searched(
    made: Made, given: Scene, searched: tuple[str, ...], uncertain: tuple[str, ...]
) -> None:
    (subject,), _ = made(given)
    assert (subject.facts.searched, subject.facts.uncertain) == (searched, uncertain)
    assert subject.facts.objects == given.objects


@pytest.mark.parametrize(
    "item",
    [
        scene(),
        scene(CROWD),
        said("vqa", "a", Question(question="How many?", answer="3", category="count")),
        said("captioning", "a", Caption(text=" .")),
        said("grounding", "a", Grounding(category="ship"), objects=(replace(SHIP, bbox=None),)),
    ],
)
def test_an_image_without_anything_to_tell_is_counted(made: Made, item: Annotation | Scene) -> None:
    found, notes = made(item)
    assert found == [] and notes[NOTHING] == 1


def test_a_source_is_read_as_its_subjects_are_asked_for(config: Config) -> None:
    """Memory does not grow with the source: nothing is read ahead but the annotations of one more image."""
    begun = 0

    def read(_folder: Folder, _options: Options) -> Iterator[Annotation]:
        nonlocal begun
        for number in range(1000):
            begun += 1
            yield said("captioning", str(number), Caption(text="a ship"))

    spec = spec_of(config, "rsicd")
    stream = subjects(replace(spec, source=replace(spec.source, read=read)), Counter())
    next(stream)
    assert begun <= 2


# real annotations ----------------------------------------------------------------------------------------------------


def real(tmp_path: Path, kind: str, root: str, more: str = "") -> tuple[list[Subject], Counter[str]]:
    path = tmp_path / "sources.toml"
    folder = shared("realdata", root)
    path.write_text(f'version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "{kind}"\nroot = "{folder}"\n{more}\n')
    (spec,) = chosen_sources(load_config(path))
    notes: Counter[str] = Counter()
    return list(subjects(spec, notes)), notes


def test_rsicd(tmp_path: Path) -> None:
    found, notes = real(tmp_path, "rsicd", "rsicd")
    assert Counter(s.split for s in found) == {"train": 8734, "validation": 1094, "test": 1093}
    assert sum(len(s.facts.captions) for s in found if s.split == "train") == 17810
    assert set(notes) == {"blank caption: not told"}


def test_hit_uav(tmp_path: Path) -> None:
    found, notes = real(tmp_path, "hit_uav", "hit_uav")
    assert (len(found), notes[NOTHING]) == (287, 3)
    assert sum(len(s.facts.objects) for s in found) == 2460
    assert {s.facts.modality for s in found} == {"infrared"}
    assert all((s.facts.searched == ()) == any(o.ignore for o in s.facts.objects) for s in found)


def test_dior(tmp_path: Path) -> None:
    found, notes = real(tmp_path, "dior", "dior")
    assert (len(found), notes) == (64, {})
    for subject in found:
        facts = subject.facts
        marked = {o.category for o in facts.objects}
        assert marked <= {*facts.searched, *facts.uncertain} and len(facts.searched) + len(facts.uncertain) == 20
        for boxes in ("obb", "hbb"):
            rendered = render("local", facts, boxes=boxes, width=800, height=800)
            assert len(rendered.user) < 8000  # a question about the most crowded image is still a question


def test_rsvg_hr(tmp_path: Path) -> None:
    found, notes = real(tmp_path, "rsvg_hr", "rsvg")
    assert Counter(s.split for s in found) == {"train": 1381, "test": 371}
    assert not any(notes[reason] for reason in notes if "again" in reason or "twice" in reason)
    for subject in found:
        told = {item for item, _ in subject.facts.expressions}
        assert told == set(range(len(subject.facts.objects))) and subject.facts.searched == ()
    facts = found[0].facts
    rendered = render("local", facts, boxes="obb", width=1024, height=1024)
    assert rendered.user.count("called ") == len(facts.expressions) > 0
