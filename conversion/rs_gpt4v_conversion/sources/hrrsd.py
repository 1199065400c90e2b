"""HRRSD: upright boxes of 13 categories in 21,761 images from Google Earth and Baidu Map, 0.15 to 1.2 m a pixel.

    OPT2017/ImageSets/Main/{train,val,test}.txt   one id a line; root may be OPT2017 itself
    OPT2017/Annotations/<id>.xml                  VOC; OPT2017/JPEGImages/<id>.jpg of many sizes

    <annotation><filename>00900.jpg</filename><size><width>1200</width><height>900</height><depth>3</depth></size>
      <object><name>storage tank</name><pose>overlook</pose><truncated>0</truncated><difficult>0</difficult>
        <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object></annotation>

Official counts: 5,401 / 5,417 / 10,943 images; the files hold 14,039 / 13,055 / 30,043 boxes (the authors' page counts
55,740 of these 57,137).

The images were chosen and marked by category: four of five hold marks of one category only, not one of the 1,683 with a
parking lot has a vehicle marked, and vehicles are marked in 853 images only. So what is not marked may well be
there. Only the categories that are marked in an image count as looked for in it: what is there is counted, compared and
located, and never is anything said to be absent.

Per-category lists (`storage tank_test.txt`) and trainval.txt are not read. An image in two lists stays in the later
split. Boxes are taken as they are, counted from 0 or 1; `difficult` is 0 everywhere and kept.

The repository's licence is MulanPSL-1.0; the images come from map services, so they are not passed on.
"""

from collections.abc import Iterator

from rs_gpt4v_conversion.records import ImageRef, Note, Scene
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._lists import annotated, read_lists
from rs_gpt4v_conversion.sources._source import Options, Source
from rs_gpt4v_conversion.sources._voc import Vocabulary, image_size, name_note, upright_marks, xml_files
from rs_gpt4v_conversion.sources._xml import load_xml

SPLITS = {"train": "train", "val": "validation", "test": "test"}

CATEGORIES = {
    "ship": "ship",
    "bridge": "bridge",
    "ground track field": "ground track field",
    "storage tank": "storage tank",
    "basketball court": "basketball court",
    "tennis court": "tennis court",
    "airplane": "airplane",
    "baseball diamond": "baseball diamond",
    "harbor": "harbor",
    "vehicle": "vehicle",
    "crossroad": "crossroad",
    "T junction": "t junction",
    "parking lot": "parking lot",
}
"""Our words by the source's spelling."""


def read(folder: Folder, options: Options) -> Iterator[Scene | Note]:
    """Read the boxes of every split whose list is in the folder.

    Yields:
        A scene an image; notes for what was left out.

    Raises:
        SourceError: No list or none of its images' files is there, or a file is not of this form.
    """
    base = folder.root / "OPT2017" if (folder.root / "OPT2017").is_dir() else folder.root
    words = Vocabulary("HRRSD", CATEGORIES)
    lists = read_lists(folder, base / "ImageSets" / "Main", SPLITS)
    files = xml_files(base / "Annotations")
    images, notes = annotated(lists, files, base / "Annotations")
    yield from (*lists.notes, *notes)
    for name, split in images:
        root = load_xml(folder, files[name], "annotation")
        path = base / "JPEGImages" / f"{name}.jpg"
        size, unsized = image_size(root, folder, path, "size/width", "size/height")
        marks = upright_marks(root, files[name], words, size)
        ref = ImageRef(
            image_id=name, source_id=f"{name}.jpg", path=path, image_path=f"HRRSD/JPEGImages/{name}.jpg",
            width=size[0], height=size[1], origin=f"hrrsd/{name}",
        )  # fmt: skip
        yield from (*unsized, *name_note(root, name), *marks.notes)
        yield marks.scene(split, ref, marks.met(words.searched), "hbb")
    words.check()


SOURCE = Source(
    kind="hrrsd",
    title="HRRSD",
    tasks=("vqa", "grounding"),
    read=read,
    layout=(
        "OPT2017/ImageSets/Main/{train,val,test}.txt",
        "OPT2017/Annotations/<id>.xml",
        "OPT2017/JPEGImages/<id>.jpg",
    ),
    modality="optical",
    license="MulanPSL-1.0 (repository); images of Google Earth and Baidu Map",
    redistribute=False,
    homepage="https://github.com/CrazyStoneonRoad/TGRS-HRRSD-Dataset",
    citation="""@article{zhang2019hrrsd,
  title   = {Hierarchical and Robust Convolutional Neural Network for Very High-Resolution Remote Sensing Object
             Detection},
  author  = {Zhang, Yuanlin and Yuan, Yuan and Feng, Yachuang and Lu, Xiaoqiang},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  volume  = {57},
  number  = {8},
  pages   = {5535--5548},
  year    = {2019}
}""",
    splits={"train": (5401, 14039), "validation": (5417, 13055), "test": (10943, 30043)},
    detects=True,
)
