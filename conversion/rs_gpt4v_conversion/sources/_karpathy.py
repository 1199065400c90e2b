"""Captions in the JSON form of Karpathy's splits: RSICD, UCM-Captions, Sydney-Captions, RSITMD.

    {"dataset": "rsicd", "images": [{"filename": "a_1.jpg", "split": "train", "imgid": 0,
      "sentences": [{"raw": "two planes .", "tokens": [...], "imgid": 0, "sentid": 0}], "sentids": [0]}]}

Only `filename`, `split` and each sentence's `raw` are used: `tokens` disagree with `raw` in 352 sentences of UCM and
hold empty strings, `sentids` are wrong in one image of Sydney. The extension of an image's file may be in another case
than its name. An image that has no sentence is a note; one that is listed again, in whatever split, is rejected.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Annotation, Caption, Flaw, ImageRef, Note
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._images import Images
from rs_gpt4v_conversion.sources._json import describe, load_object, records, typed
from rs_gpt4v_conversion.sources._names import image_name_flaw

SPLITS = {"train": "train", "val": "validation", "test": "test"}

LAST_FIRST = {"test": 0, "val": 1, "train": 2}
"""The order in which splits are read: an image listed in two of them stays in the one that nobody may train on."""

DATASETS = {"rsicd", "ucm", "sydney", "rsitmd"}
"""What files of this form say of themselves under `dataset`, in lower case."""


def read_captions(
    folder: Folder, path: Path, *, dataset: str, images: Path, image_path: str
) -> Iterator[Annotation | Flaw | Note]:
    """Read a caption file.

    Args:
        folder: The source's folder.
        path: The JSON file.
        dataset: What it must say of itself, in lower case.
        images: The folder of the images.
        image_path: The folder under which the paper's files name the images.

    Yields:
        One annotation an image; blank sentences are facts like others, rejected later, where they can be counted; a
        sentence whose text is no string, or an image whose name is no file name, is a flaw; an image without sentences
        is a note.

    Raises:
        SourceError: The file is not one of this form, has no image, or is another dataset's.
    """
    content = load_object(folder, path)
    name = str(content.get("dataset", dataset)).lower()
    if name != dataset and name in DATASETS:
        raise SourceError(path, f"the dataset {name!r}", f"{dataset!r}", record="dataset")
    entries = records(content, "images", path)
    if not entries:
        raise SourceError(
            path, "no image", "a list of images with their captions", record="images", do="fetch it again"
        )
    found = Images(images)
    for i, image in sorted(enumerate(entries), key=lambda n: LAST_FIRST.get(str(n[1].get("split")), -1)):
        where = f"images[{i}]"
        split = typed(image, "split", str, path, where)
        if split not in SPLITS:
            expected = "one of " + ", ".join(SPLITS)
            raise SourceError(path, repr(split), expected, record=f"{where}.split")
        if "filename" not in image:
            raise SourceError(path, "nothing", "a string", record=f"{where}.filename")
        typed(image, "sentences", list, path, where)
        sentences = records(image, "sentences", path)
        yield from _image(image["filename"], dataset, SPLITS[split], sentences, where, found, image_path)


def _image(
    name: Any, dataset: str, split: str, sentences: list[dict[str, Any]], where: str, images: Images, prefix: str
) -> Iterator[Annotation | Flaw | Note]:
    flaw = image_name_flaw(name)
    image_id = Path(name).stem if not flaw else where
    facts = []
    if not sentences:
        yield Note(reason="image without a caption, left out")
    for j, sentence in enumerate(sentences):
        text = sentence.get("raw")
        found = flaw or ("" if isinstance(text, str) else "caption is no text")
        if found:
            yield Flaw(
                task="captioning", split=split, image_id=image_id,
                record=f"{where}.sentences[{j}]", reason=found,
                detail=describe(name if flaw else text),
            )  # fmt: skip
        else:
            facts.append(Caption(text=str(text).strip()))
    if not flaw and facts:
        yield Annotation(
            task="captioning",
            split=split,
            image=ImageRef(
                image_id=image_id, source_id=name, path=images.path(name),
                image_path=f"{prefix}/{name}", origin=f"{dataset}/{image_id}",
            ),
            facts=tuple(facts),
        )  # fmt: skip
