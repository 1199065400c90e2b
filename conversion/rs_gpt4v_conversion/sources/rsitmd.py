"""RSITMD: fine-grained captions of 4,743 images in 33 classes.

    RSITMD/dataset_RSITMD.json
    RSITMD/images/<class>_<n>.tif               256x256 TIFF

Official counts: train 4,291 and test 452 images, no validation part, five captions each; 20,096 distinct ones in train,
the paper's figure. In one of the two versions that circulate four images of train have five blank captions
(mountain_2378, railwaystation_3254, storagetanks_4367, viaduct_4635): each is one rejected pair after merging. Seven
captions have blanks at an end, which are taken off. Many images are RSICD's under new names.

No licence is stated; the images are RSICD's and Google Earth's and may not be passed on.
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
        option_path(options, "annotations", folder.root / "dataset_RSITMD.json"),
        dataset="rsitmd",
        images=folder.images("images"),
        image_path="RSITMD/images",
    )


SOURCE = Source(
    kind="rsitmd",
    title="RSITMD",
    tasks=("captioning",),
    read=read,
    layout=("dataset_RSITMD.json", "images/<class>_<n>.tif"),
    modality="optical",
    license="not stated",
    redistribute=False,
    homepage="https://github.com/xiaoyuan1996/AMFMN",
    citation="""@article{yuan2022rsitmd,
  title   = {Exploring a Fine-Grained Multiscale Method for Cross-Modal Remote Sensing Image Retrieval},
  author  = {Yuan, Zhiqiang and Zhang, Wenkai and Fu, Kun and Li, Xuan and Deng, Chubo and Wang, Hongqi and Sun, Xian},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  volume  = {60},
  pages   = {1--19},
  year    = {2022}
}""",
    splits={"train": (4291, 21455), "test": (452, 2260)},
    paper={("captioning", "train"): PaperFigure(images=4291, qa_pairs=20096)},
    options=(ANNOTATIONS,),
)
