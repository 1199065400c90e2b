"""UCM-Captions: captions of the 2,100 images of UC Merced Land Use in 21 classes.

    UCM_captions/dataset.json
    UCM_captions/imgs/<1..2100>.tif             256x256 RGB TIFF, 44 of them slightly smaller or larger

Official counts: 1,680 / 210 / 210 images, five captions each; 7,999 distinct ones in train, the paper's figure. The
captions keep their double spaces: two versions of the file circulate, the older one with typos, and this text is
whichever the folder has. Some copies call the image folder `images`.

The images are of the USGS National Map Urban Area Imagery, public domain; for the captions no licence is stated.
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
        option_path(options, "annotations", folder.root / "dataset.json"),
        dataset="ucm",
        images=folder.images("imgs", "images"),
        image_path="UCM_captions/imgs",
    )


SOURCE = Source(
    kind="ucm_captions",
    title="UCM-Captions",
    tasks=("captioning",),
    read=read,
    layout=("dataset.json", "imgs/<1..2100>.tif"),
    modality="optical",
    license="images public domain (USGS), captions not stated",
    redistribute=True,
    homepage="https://github.com/201528014227051/RSICD_optimal",
    citation="""@inproceedings{qu2016ucmcaptions,
  title     = {Deep Semantic Understanding of High Resolution Remote Sensing Image},
  author    = {Qu, Bo and Li, Xuelong and Tao, Dacheng and Lu, Xiaoqiang},
  booktitle = {International Conference on Computer, Information and Telecommunication Systems},
  pages     = {1--5},
  year      = {2016}
}""",
    splits={"train": (1680, 8400), "validation": (210, 1050), "test": (210, 1050)},
    paper={
        ("captioning", "train"): PaperFigure(images=1680, qa_pairs=7999),
        ("captioning", "test"): PaperFigure(images=210, qa_pairs=210),
    },
    options=(ANNOTATIONS,),
)
