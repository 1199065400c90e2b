"""RSICD: captions of 10,921 aerial images in 30 scene classes.

    RSICD/dataset_rsicd.json
    RSICD/RSICD_images/<name>.jpg               224x224 JPEG

Official counts: 8,734 / 1,094 / 1,093 images in train, val, test, five captions each. The captions were padded to five
by duplication: 17,813 distinct ones in train, which is the paper's figure. Three of those have no letter (` .`, `1 .`)
and are rejected. 921 names are numeric, without a scene class. All text is lower case with a detached full stop.

No licence is stated; the images are from Google Earth, Baidu Map, MapABC and Tianditu and may not be passed on.
"""

from collections.abc import Iterator

from rs_gpt4v_conversion.records import Annotation, Flaw, Note
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._karpathy import read_captions
from rs_gpt4v_conversion.sources._source import ANNOTATIONS, Options, PaperFigure, Source, option_path


def read(folder: Folder, options: Options) -> Iterator[Annotation | Flaw | Note]:
    """Read the caption file; see `read_captions`."""
    return read_captions(
        folder,
        option_path(options, "annotations", folder.root / "dataset_rsicd.json"),
        dataset="rsicd",
        images=folder.images("RSICD_images", "images"),
        image_path="RSICD/RSICD_images",
    )


SOURCE = Source(
    kind="rsicd",
    title="RSICD",
    tasks=("captioning",),
    read=read,
    layout=("dataset_rsicd.json", "RSICD_images/<name>.jpg"),
    modality="optical",
    license="not stated",
    redistribute=False,
    homepage="https://github.com/201528014227051/RSICD_optimal",
    citation="""@article{lu2018rsicd,
  title   = {Exploring Models and Data for Remote Sensing Image Caption Generation},
  author  = {Lu, Xiaoqiang and Wang, Binqiang and Zheng, Xiangtao and Li, Xuelong},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  volume  = {56},
  number  = {4},
  pages   = {2183--2195},
  year    = {2018}
}""",
    splits={"train": (8734, 43670), "validation": (1094, 5470), "test": (1093, 5465)},
    paper={
        ("captioning", "train"): PaperFigure(images=8734, qa_pairs=17813),
        ("captioning", "test"): PaperFigure(images=1093, qa_pairs=1093),
    },
    options=(ANNOTATIONS,),
)
