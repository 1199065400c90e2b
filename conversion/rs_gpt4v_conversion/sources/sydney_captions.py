"""Sydney-Captions: captions of 613 images of Sydney in seven classes.

    Sydney_captions/dataset.json
    Sydney_captions/imgs/<1..613>.tif           500x500 RGB TIFF, PackBits

Official counts: 497 / 58 / 58 images, five captions each; 2,294 distinct ones in train, the paper's figure. The list
`sentids` of 363.tif disagrees with its sentences and is not used. Some copies call the image folder `images`.

No licence is stated; the images are from Google Earth and may not be passed on.
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
        dataset="sydney",
        images=folder.images("imgs", "images"),
        image_path="Sydney_captions/imgs",
    )


SOURCE = Source(
    kind="sydney_captions",
    title="Sydney-Captions",
    tasks=("captioning",),
    read=read,
    layout=("dataset.json", "imgs/<1..613>.tif"),
    modality="optical",
    license="not stated",
    redistribute=False,
    homepage="https://github.com/201528014227051/RSICD_optimal",
    citation="""@inproceedings{qu2016sydneycaptions,
  title     = {Deep Semantic Understanding of High Resolution Remote Sensing Image},
  author    = {Qu, Bo and Li, Xuelong and Tao, Dacheng and Lu, Xiaoqiang},
  booktitle = {International Conference on Computer, Information and Telecommunication Systems},
  pages     = {1--5},
  year      = {2016}
}""",
    splits={"train": (497, 2485), "validation": (58, 290), "test": (58, 290)},
    paper={
        ("captioning", "train"): PaperFigure(images=497, qa_pairs=2294),
        ("captioning", "test"): PaperFigure(images=58, qa_pairs=58),
    },
    options=(ANNOTATIONS,),
)
