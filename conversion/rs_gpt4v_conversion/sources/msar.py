"""MSAR-1.0: upright boxes of aircraft, oil tanks, bridges and ships in 28,449 radar images of HISEA-1 and Gaofen-3.

    MSAR-1.0 dataset/Annotations/<name>.xml    VOC; root may be "MSAR-1.0 dataset" itself
    MSAR-1.0 dataset/JPEGImages/<name>.jpg     256x256, three equal bands

    <annotation><filename>9001.jpg</filename><size><width>256</width><height>256</height><depth>3</depth></size>
      <object><name>oiltank</name><difficult>0</difficult>
        <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object></annotation>

28,449 images and 60,396 boxes. There is no official split: every image is in train, so nobody can take a part of it
for a test set that others know. Oil tanks are spelt oil tank, oiltank, oil_tank or tank. Of images without objects
some are asked for what is not there, but an image without an annotation file is none of them: it is counted in a note.
SARDet-100K holds these images again, partly cut.

The terms are not stated; the images are not passed on.
"""

from collections.abc import Iterator

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Flaw, ImageRef, Note, Scene
from rs_gpt4v_conversion.sources._folder import Folder, files_by_stem
from rs_gpt4v_conversion.sources._json import describe
from rs_gpt4v_conversion.sources._names import image_name_flaw
from rs_gpt4v_conversion.sources._source import Options, Source
from rs_gpt4v_conversion.sources._voc import Vocabulary, image_size, name_note, upright_marks, xml_files
from rs_gpt4v_conversion.sources._xml import load_xml

FOLDER = "MSAR-1.0 dataset"

CATEGORIES = {
    "aircraft": "aircraft",
    "airplane": "aircraft",
    "plane": "aircraft",
    "oil tank": "oil tank",
    "oiltank": "oil tank",
    "tank": "oil tank",
    "bridge": "bridge",
    "ship": "ship",
}
"""Our words by the source's spellings."""


def read(folder: Folder, options: Options) -> Iterator[Scene | Flaw | Note]:
    """Read all annotation files of the folder.

    Yields:
        A scene an image; notes for what was left out; a flaw for each category of an image whose name is no text.

    Raises:
        SourceError: No annotation file is there, or one is not of this form.
    """
    base = folder.root / FOLDER if (folder.root / FOLDER).is_dir() else folder.root
    files = xml_files(base / "Annotations")
    if not files:
        raise SourceError(base / "Annotations", "no annotation file", "<name>.xml", do="check `root`")
    words = Vocabulary("MSAR-1.0", CATEGORIES)
    for name, file in files.items():
        root = load_xml(folder, file, "annotation")
        path = base / "JPEGImages" / f"{name}.jpg"
        size, unsized = image_size(root, folder, path, "size/width", "size/height")
        marks = upright_marks(root, file, words, size)
        flaw = image_name_flaw(name)
        if flaw:
            yield from marks.flaws("train", describe(name), flaw, describe(name))
            continue
        ref = ImageRef(
            image_id=name, source_id=f"{name}.jpg", path=path, image_path=f"MSAR-1.0/JPEGImages/{name}.jpg",
            width=size[0], height=size[1], origin=f"msar/{name}",
        )  # fmt: skip
        yield from (*unsized, *name_note(root, name), *marks.notes)
        yield marks.scene("train", ref, words.searched, "hbb")
    words.check()
    missing = len(files_by_stem(base / "JPEGImages", ".jpg").keys() - files.keys())
    if missing:
        yield Note(reason="image without an annotation file, left out", count=missing)


SOURCE = Source(
    kind="msar",
    title="MSAR-1.0",
    tasks=("vqa", "grounding"),
    read=read,
    layout=("MSAR-1.0 dataset/Annotations/<name>.xml", "MSAR-1.0 dataset/JPEGImages/<name>.jpg"),
    modality="sar",
    license="not stated",
    redistribute=False,
    homepage="https://radars.ac.cn/web/data/getData?dataType=MSAR",
    citation="""@article{chen2022msar,
  title   = {Large-scale Multi-class {SAR} Image Target Detection Dataset-1.0},
  author  = {Chen, Jie and Huang, Zhixiang and Xia, Runfan and Wu, Bocai and Sheng, Lei and Sun, Long and Yao, Baidong},
  journal = {Journal of Radars},
  year    = {2022},
  url     = {https://radars.ac.cn/web/data/getData?dataType=MSAR}
}""",
    splits={"train": (28449, 60396)},
    detects=True,
)
