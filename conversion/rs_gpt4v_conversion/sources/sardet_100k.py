"""SARDet-100K: upright boxes of six categories in 116,598 radar images, merged from ten datasets.

    SARDet_100K/Annotations/{train,val,test}.json
    SARDet_100K/JPEGImages/{train,val,test}/<name>.{png,jpg}

    {"images": [{"id": 0, "file_name": "9000001.png", "width": 512, "height": 512}],
     "annotations": [{"id": 0, "image_id": 0, "category_id": 0, "bbox": [20.0, 31.0, 14.0, 9.0], "area": 126.0,
                      "iscrowd": 0, "segmentation": []}],
     "categories": [{"id": 0, "name": "ship", "supercategory": "ship"}]}

Official counts: 94,493 / 10,492 / 11,613 images with 198,747 / 22,703 / 24,023 boxes of ship, aircraft, car, tank,
bridge and harbor. A tank stores oil (the name comes from MSAR), so it is called a storage tank here. The list of
polygons is empty. Names end in different ways; where two differ in the ending alone, the second image's id has it too.

The ten datasets are AIR-SARShip 1 and 2, HRSID, MSAR, SADD, SAR-AIRcraft, ShipDataset, SSDD, OGSOD and SIVED; larger
images were cut to 512 pixels, and all were split anew. So `ssdd`, `hrsid` or `msar` beside this source count the same
ships twice, and their test images may be in train here: name one or the other in a release. Images that kept their
pixels are found when it is built; those that were cut anew are not.

Each of the ten looked for its own categories and no other: a picture of ships may show a harbor that nobody marked, and
the files do not say which image is of which set. So a category counts as looked for in an image only where one of it is
marked there: nothing is said to be absent, and images without boxes give no row.

CC-BY-NC-4.0 for the annotations; the terms of the ten sets apply to their images, which may not be passed on.
"""

from collections.abc import Iterator

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Flaw, Note, Scene
from rs_gpt4v_conversion.sources._coco import CocoForm, read_coco
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._source import Options, Source

SPLITS = {"train": "train", "val": "validation", "test": "test"}

WORDS = {
    "ship": "ship", "aircraft": "aircraft", "car": "car", "tank": "storage tank", "bridge": "bridge",
    "harbor": "harbor",
}  # fmt: skip
"""Our words by the source's."""


def read(folder: Folder, options: Options) -> Iterator[Scene | Flaw | Note]:
    """Read the boxes of every split that is in the folder.

    Yields:
        A scene an image; notes for what was left out; a flaw for each category of an image that cannot be used.

    Raises:
        SourceError: No split is there, or a file is not of this form.
    """
    seen: dict[str, str] = {}
    found = False
    for theirs, split in SPLITS.items():
        path = folder.root / "Annotations" / f"{theirs}.json"
        if not path.exists():
            yield Note(reason=f"no file of the official split {theirs!r} in the folder")
            continue
        found = True
        form = CocoForm(
            collection="sardet", split=split, images=folder.images(f"JPEGImages/{theirs}", "JPEGImages"),
            image_path=f"SARDet_100K/JPEGImages/{theirs}", words=WORDS, partial=True,
        )  # fmt: skip
        yield from read_coco(folder, path, form, seen)
    if not found:
        raise SourceError(folder.root, "none of them", "Annotations/{train,val,test}.json")


SOURCE = Source(
    kind="sardet_100k",
    title="SARDet-100K",
    tasks=("vqa", "grounding"),
    read=read,
    layout=("Annotations/{train,val,test}.json", "JPEGImages/{train,val,test}/<name>.{png,jpg}"),
    modality="sar",
    license="CC-BY-NC-4.0",
    redistribute=False,
    homepage="https://github.com/zcablii/SARDet_100K",
    citation="""@inproceedings{li2024sardet100k,
  title     = {{SARDet-100K}: Towards Open-Source Benchmark and ToolKit for Large-Scale {SAR} Object Detection},
  author    = {Li, Yuxuan and Li, Xiang and Li, Weijie and Hou, Qibin and Liu, Li and Cheng, Ming-Ming and Yang, Jian},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {37},
  year      = {2024}
}""",
    splits={"train": (94493, 198747), "validation": (10492, 22703), "test": (11613, 24023)},
    detects=True,
)
