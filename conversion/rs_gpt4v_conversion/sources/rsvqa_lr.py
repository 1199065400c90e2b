"""RSVQA-LR: questions about 772 Sentinel-2 images of the Netherlands, 10 m a pixel.

    RSVQA_LR/LR_split_{train,val,test}_{questions,answers,images}.json
    RSVQA_LR/Images_LR/<id>.tif                 256x256 RGB GeoTIFF

Official counts: 572 / 100 / 100 images and 57,223 / 10,005 / 10,004 questions. `Is it a rural or an urban area` has no
question mark, and some questions have a double space: text is kept as it is. Counts are raw integers; the bins of the
literature belong to scoring.

The data is CC-BY-4.0, the images are Copernicus Sentinel-2 (free with credit).
"""

from collections.abc import Iterator

from rs_gpt4v_conversion.records import Annotation, Flaw, Note
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._rsvqa import CITATION, Layout, read_rsvqa
from rs_gpt4v_conversion.sources._source import Options, PaperFigure, Source


def read(folder: Folder, options: Options) -> Iterator[Annotation | Flaw | Note]:
    """Read the three splits; see `read_rsvqa`."""
    layout = Layout(
        prefix="LR",
        splits={"train": "train", "val": "validation", "test": "test"},
        types={t: t for t in ("presence", "count", "comp", "rural_urban")},
        images=folder.images("Images_LR"),
        image_path="RSVQA_LR/Images_LR",
        origin=lambda number, _: f"rsvqa_lr/{number}",
    )
    return read_rsvqa(folder, layout)


SOURCE = Source(
    kind="rsvqa_lr",
    title="RSVQA-LR",
    tasks=("vqa",),
    read=read,
    layout=(
        "LR_split_{train,val,test}_{questions,answers,images}.json",
        "Images_LR/<id>.tif",
    ),
    modality="optical",
    license="CC-BY-4.0",
    redistribute=True,
    homepage="https://zenodo.org/records/6344334",
    citation=CITATION,
    splits={"train": (572, 57223), "validation": (100, 10005), "test": (100, 10004)},
    paper={
        ("vqa", "train"): PaperFigure(images=572, qa_pairs=57223),
        ("vqa", "test"): PaperFigure(images=100, qa_pairs=10004),
    },
)
