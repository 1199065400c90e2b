"""RSVQA-HR: questions about aerial images of US cities, 15 cm a pixel.

    RSVQA_HR/USGS_split_{train,val,test,test_phili}_{questions,answers,images}.json
    RSVQA_HR/Data/<id>.tif                      512x512 RGB GeoTIFF; the archive has a .png twin of each, used where
                                                there is no TIFF

Official counts: 625,340 / 102,843 / 222,684 / 105,647 questions; train has 6,251 images, test 2,226. `test_phili` is a
second test set (Philadelphia, a city and sensor that training never saw): the split `phili` here. Areas are answers
such as `811m2`, kept as they are. Some images hold black areas without data.

The data is CC-BY-4.0, the images are USGS High Resolution Orthoimagery, public domain.
"""

from collections.abc import Iterator

from rs_gpt4v_conversion.records import Annotation, Flaw, Note
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._rsvqa import CITATION, Layout, read_rsvqa
from rs_gpt4v_conversion.sources._source import Options, PaperFigure, Source


def read(folder: Folder, options: Options) -> Iterator[Annotation | Flaw | Note]:
    """Read the four splits; see `read_rsvqa`."""
    layout = Layout(
        prefix="USGS",
        splits={"train": "train", "val": "validation", "test": "test", "test_phili": "phili"},
        types={t: t for t in ("presence", "count", "comp", "area")},
        images=folder.images("Data", "Images/Data"),
        image_path="RSVQA_HR/Data",
        origin=lambda number, _: f"rsvqa_hr/{number}",
    )
    return read_rsvqa(folder, layout)


SOURCE = Source(
    kind="rsvqa_hr",
    title="RSVQA-HR",
    tasks=("vqa",),
    read=read,
    layout=(
        "USGS_split_{train,val,test,test_phili}_{questions,answers,images}.json",
        "Data/<id>.tif",
    ),
    modality="optical",
    license="CC-BY-4.0",
    redistribute=True,
    homepage="https://zenodo.org/records/6344367",
    citation=CITATION,
    splits={
        "train": (6251, 625340),
        "validation": (None, 102843),
        "test": (2226, 222684),
        "phili": (None, 105647),
    },
    paper={
        ("vqa", "train"): PaperFigure(images=6251, qa_pairs=625340),
        ("vqa", "test"): PaperFigure(images=2226, qa_pairs=222684),
    },
)
