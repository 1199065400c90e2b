"""RSIVQA: 111,693 questions about 37,263 images of RSICD, UCM, Sydney, HRRSD and DOTA.

    RSIVQA/{AID/rsicd_vqa, DOTA/dota_train_vqa2, DOTA/dota_val_vqa2, HRRSD/opt_val_vqa, Sydney/sydney_vqa,
            UCM/ucm_vqa, UCM/ucm_res}.txt
    RSIVQA/OPT2017/ImageSets/Main/train.txt     HRRSD's own training list, also below HRRSD/, beside the folder RSIVQA,
                                                or named by `hrrsd_train`

    900.tif:what is the theme of this picture?harbor
    00900: how many ships are there in this picture?4

The paper takes a part: the lines of HRRSD/opt_val_vqa.txt (which is of all splits, despite its name) whose image is in
HRRSD's training list, 5,401 images and 19,218 lines. This is the default; `subset = "all"` takes all seven files, and
all is train, for there is no official split. Lines outside the part are counted in a note.

The paper counts lines that are there twice (3 in its part, 9 in all): a repeat is read and rejected. `How many  in the
picture?` and `What is the location of the  in this picture?` of ucm_res.txt have lost their noun (294 lines) and are
rejected. The question mark that ends a question also parts it from its answer, and is put back; blanks at the ends go.
Answers are kept as they are written: digits in most files, words in ucm_res.txt (`one`, `center`). The form of a
question decides its category: how many, does this picture contain, what is the theme, what is the location. The theme
of a UCM image is asked in both files, in 52 images with different answers: both are kept.

No image is shipped. They are looked for in the folders of their collections, below the root (the folder RSIVQA, or the
one that holds it) or below the folder of their question file, with any extension where the lines have none:

    rsicd   RSICD_images/<name>                  (the folder AID has RSICD's names, not AID's)
    dota    images, train/images, val/images     P0000.png
    hrrsd   OPT2017/JPEGImages/<id>.jpg          also beside the list that `hrrsd_train` names
    sydney  Sydney_captions/imgs, imgs           1.tif
    ucm     UCM_captions/imgs, imgs              1.tif

DOTA's are whole images of up to 20,000 pixels a side: `max_side` reduces them. Image ids begin with the collection, as
names repeat between them: hrrsd_00001, ucm_1.

No licence is stated; the images are of their collections and are not passed on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Annotation, Flaw, ImageRef, Note, Question
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._images import SUFFIXES, Images
from rs_gpt4v_conversion.sources._lines import load_lines
from rs_gpt4v_conversion.sources._names import image_name_flaw
from rs_gpt4v_conversion.sources._source import Option, Options, PaperFigure, Source, option_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A dataset whose images are asked about."""

    name: str  # in ids and origins
    files: tuple[str, ...]  # of questions, all in one folder
    names: str  # what its images are called, as a regular expression
    suffix: str  # usual extension of an image where the lines have none
    images: tuple[str, ...]  # below the root
    beside: tuple[str, ...]  # below the folder of the question files
    example: str  # the name of an image

    @property
    def folder(self) -> str:
        """The folder of the question files."""
        return self.files[0].split("/")[0]


RSICD = Collection(
    name="rsicd", files=("AID/rsicd_vqa.txt",), names=r".+\.\w+", suffix="",
    images=("RSICD_images", "RSICD/RSICD_images"), beside=("RSICD_images", "images"), example="airport_1.jpg",
)  # fmt: skip
DOTA = Collection(
    name="dota", files=("DOTA/dota_train_vqa2.txt", "DOTA/dota_val_vqa2.txt"), names=r"P\d{4}", suffix=".png",
    images=(), beside=("images", "train/images", "val/images"), example="P0000",
)  # fmt: skip
HRRSD = Collection(
    name="hrrsd", files=("HRRSD/opt_val_vqa.txt",), names=r"\d{5}", suffix=".jpg",
    images=("OPT2017/JPEGImages",), beside=("OPT2017/JPEGImages",), example="00001",
)  # fmt: skip
SYDNEY = Collection(
    name="sydney", files=("Sydney/sydney_vqa.txt",), names=r"\d{1,3}\.\w+", suffix="",
    images=("Sydney_captions/imgs",), beside=("imgs",), example="1.tif",
)  # fmt: skip
UCM = Collection(
    name="ucm", files=("UCM/ucm_vqa.txt", "UCM/ucm_res.txt"), names=r"\d{1,4}\.\w+", suffix="",
    images=("UCM_captions/imgs",), beside=("imgs",), example="1.tif",
)  # fmt: skip
COLLECTIONS = (RSICD, DOTA, HRRSD, SYDNEY, UCM)

FORMS = (
    (re.compile(r"how many\b", re.IGNORECASE), "count"),
    (re.compile(r"does (this|the) picture contain\b", re.IGNORECASE), "presence"),
    (re.compile(r"what is the theme\b", re.IGNORECASE), "theme"),
    (re.compile(r"what is the location\b", re.IGNORECASE), "position"),
)
"""How a question of each category begins; any other is `other`."""

NOUN_LOST = re.compile(r"(how many|location of the)\s+in (this|the) picture", re.IGNORECASE)

NO_NOUN = "question has lost its noun"

FORM = "<image>:<question>?<answer>"

TRAIN_LIST = "OPT2017/ImageSets/Main/train.txt"


def read(folder: Folder, options: Options) -> Iterator[Annotation | Flaw | Note]:
    """Read the paper's part, or all.

    Yields:
        One annotation an image; a flaw for a line that is not of the form, names an image of another collection, asks
        about nothing or is there twice; notes for what is left out.

    Raises:
        SourceError: A file that the part needs is missing (for all: all are), or is another collection's.
    """
    base = folder.root / "RSIVQA" if (folder.root / "RSIVQA").is_dir() else folder.root
    if options.get("subset", "paper") == "all":
        yield from _all(folder, base, options)
    else:
        yield from _paper(folder, base, options)


def _all(folder: Folder, base: Path, options: Options) -> Iterator[Annotation | Flaw | Note]:
    found = False
    for collection in COLLECTIONS:
        lines: list[_Line] = []
        for name in collection.files:
            if not (base / name).exists():
                yield Note(reason=f"no question file {name} in the folder")
                continue
            found = True
            yield from _cut_off(folder, base / name)
            lines += _load(folder, base / name, collection)
        yield from _gather(lines, collection, _images(folder.root, base, collection, options))
    if not found:
        names = ", ".join(name for collection in COLLECTIONS for name in collection.files)
        raise SourceError(base, "none of them", f"question files such as {names}", do="check `root`")


def _paper(folder: Folder, base: Path, options: Options) -> Iterator[Annotation | Flaw | Note]:
    path = base / HRRSD.files[0]
    lines = _load(folder, path, HRRSD)
    chosen = _train_list(folder, _list_path(folder.root, base, options))
    inside = [line for line in lines if line.image in chosen or not line.image]
    yield from _cut_off(folder, path)
    yield from _gather(inside, HRRSD, _images(folder.root, base, HRRSD, options))
    others = sum((base / name).exists() for c in COLLECTIONS for name in c.files if c is not HRRSD)
    left_out = {
        "line of an image that is not in HRRSD's training list": len(lines) - len(inside),
        "image of HRRSD's training list without a line": len(chosen - {line.image for line in inside}),
        "question file of a collection that is not in the paper's part": others,
    }
    yield from (Note(reason=reason, count=count) for reason, count in left_out.items() if count)


def _images(root: Path, base: Path, collection: Collection, options: Options) -> Images:
    folders = [home / name for home in dict.fromkeys((base, root)) for name in collection.images]
    folders += [base / collection.folder / name for name in collection.beside]
    if collection is HRRSD and "hrrsd_train" in options:
        folders.append(Path(str(options["hrrsd_train"])).parent.parent.parent / "JPEGImages")
    return Images(*folders)


def _list_path(root: Path, base: Path, options: Options) -> Path:
    """HRRSD's training list, or where it should be."""
    places = [base / TRAIN_LIST, base / HRRSD.folder / TRAIN_LIST, root / TRAIN_LIST]
    path = option_path(options, "hrrsd_train", next((p for p in places if p.exists()), places[0]))
    if not path.exists():
        raise SourceError(
            path, "no such file", "HRRSD's training list",
            do='copy its OPT2017 folder here, name the list with `hrrsd_train`, or take all lines with subset = "all"',
        )  # fmt: skip
    return path


def _train_list(folder: Folder, path: Path) -> frozenset[str]:
    """The ids of HRRSD's training images.

    Raises:
        SourceError: A line is no id, or the list shares ids with the lists of other splits beside it.
    """
    ids = _ids(folder, path)
    for other in ("val", "test"):
        sibling = path.with_name(f"{other}.txt")
        if path.name == sibling.name:
            raise SourceError(path, f"the list of {other}", "HRRSD's training list, train.txt")
        common = ids & _ids(folder, sibling) if sibling.exists() else frozenset()
        if common:
            raise SourceError(
                path, f"image {min(common)}, which {sibling.name} lists too", "HRRSD's training list",
                do="is it another split's?",
            )  # fmt: skip
    return ids


def _ids(folder: Folder, path: Path) -> frozenset[str]:
    ids = set()
    for number, line in load_lines(folder, path):
        stem = line[: -len(".jpg")] if line.lower().endswith(".jpg") else line
        if not re.fullmatch(HRRSD.names, stem, re.ASCII):
            raise SourceError(path, repr(line[:60]), "an id of five digits", record=f"line {number}")
        ids.add(stem)
    if not ids:
        raise SourceError(path, "no line", "ids of five digits")
    return frozenset(ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line of a question file: a question, or what is wrong with it."""

    file: str
    number: int
    text: str
    image: str  # as the line names it; empty where it names none
    question: Question | None = None
    flaw: str = ""

    @property
    def where(self) -> str:
        """File and number of the line."""
        return f"{self.file} line {self.number}"


def _load(folder: Folder, path: Path, collection: Collection) -> list[_Line]:
    """The lines of a question file.

    Raises:
        SourceError: It is missing, no text, or most of its lines are not of the form or not of this collection.
    """
    lines = [_parse(text, path.name, number, collection) for number, text in load_lines(folder, path)]
    strange = [line for line in lines if line.flaw and line.flaw != NO_NOUN]
    if 2 * len(strange) >= len(lines):
        raise SourceError(
            path, repr(strange[0].text[:60]) if strange else "no line",
            f"{FORM} with images such as {collection.example}", do="is it another dataset's file?",
            record=f"line {strange[0].number}" if strange else "",
        )  # fmt: skip
    return lines


def _cut_off(folder: Folder, path: Path) -> Iterator[Note]:
    if not folder.read(path).endswith(b"\n"):
        yield Note(reason="question file without a line break at its end: it may be cut off")


def _parse(text: str, file: str, number: int, collection: Collection) -> _Line:
    name, colon, rest = text.partition(":")
    asked, mark, answer = rest.rpartition("?")
    image, asked = name.strip(), asked.strip()
    flaw = ""
    if not (colon and mark and asked):
        flaw = f"line is not {FORM}"
    elif image_name_flaw(image):
        flaw = image_name_flaw(image)
    elif not re.fullmatch(collection.names, image, re.ASCII):
        flaw = "image name is not of this collection"
    elif NOUN_LOST.search(asked):
        flaw = NO_NOUN
    if flaw:
        return _Line(file=file, number=number, text=text, image=image if colon else "", flaw=flaw)
    category = next((category for form, category in FORMS if form.match(asked)), "other")
    question = Question(question=f"{asked}?", answer=answer.strip(), category=category)
    return _Line(file=file, number=number, text=text, image=image, question=question)


def _gather(lines: list[_Line], collection: Collection, images: Images) -> Iterator[Annotation | Flaw]:
    """The lines by image, in the order in which the images come first."""
    facts: dict[str, dict[Question, None]] = {}
    for line in lines:
        asked = facts.setdefault(line.image, {}) if line.question else {}
        flaw = line.flaw or ("repeats a line of the same image" if line.question in asked else "")
        if line.question and not flaw:
            asked[line.question] = None
            continue
        yield Flaw(
            task="vqa", split="train", image_id=_image_id(collection, line.image) if line.image else line.where,
            record=line.where, reason=flaw, detail=line.text[:200],
        )  # fmt: skip
    for name, questions in facts.items():
        path = images.path(name, collection.suffix)
        image_id = _image_id(collection, name)
        ref = ImageRef(
            image_id=image_id, source_id=path.name, path=path, image_path=f"RSIVQA/{collection.folder}/{path.name}",
            origin=image_id.replace("_", "/", 1),
        )  # fmt: skip
        yield Annotation(task="vqa", split="train", image=ref, facts=tuple(questions))


def _image_id(collection: Collection, name: str) -> str:
    stem = Path(name).stem if Path(name).suffix.lower() in SUFFIXES else name
    return f"{collection.name}_{stem}"


SOURCE = Source(
    kind="rsivqa",
    title="RSIVQA",
    tasks=("vqa",),
    read=read,
    layout=(
        "HRRSD/opt_val_vqa.txt",
        "OPT2017/ImageSets/Main/train.txt",
        "OPT2017/JPEGImages/<id>.jpg",
        "{AID/rsicd_vqa,DOTA/dota_train_vqa2,DOTA/dota_val_vqa2,Sydney/sydney_vqa,UCM/ucm_vqa,UCM/ucm_res}.txt",
        "AID/RSICD_images/<name>.jpg",
        "DOTA/images/P<number>.png",
        "{Sydney,UCM}/imgs/<number>.tif",
    ),
    modality="optical",
    license="not stated",
    redistribute=False,
    homepage="https://github.com/spectralpublic/RSIVQA",
    citation="""@article{zheng2022mutual,
  title   = {Mutual Attention Inception Network for Remote Sensing Visual Question Answering},
  author  = {Zheng, Xiangtao and Wang, Binqiang and Du, Xingqian and Lu, Xiaoqiang},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  volume  = {60},
  pages   = {1--14},
  year    = {2022}
}""",
    splits={"train": (37263, 111693)},
    paper={
        ("vqa", "train"): PaperFigure(
            images=5401, qa_pairs=19218, note="its part is HRRSD's lines on HRRSD's training list; 3 are there twice"
        ),
    },
    options=(
        Option(name="subset", help="the paper's part, or the lines of all collections", choices=("paper", "all")),
        Option(name="hrrsd_train", help="HRRSD's ImageSets/Main/train.txt, where it is not in the root", path=True),
    ),
)
