"""Draws a small copy of the source datasets, true to their layouts and to their flaws.

    RSICD, UCM-Captions, Sydney-Captions, RSITMD   scene.py draws, captions.py says what is there,
                                                   karpathy.py writes the files
    RSVQA-LR, RSVQA-HR                             landscape.py draws, questions.py asks,
                                                   rsvqa.py writes
    HIT-UAV                                        hit_uav.py draws and writes
    DIOR, HRRSD, MSAR, HRSC2016, FAIR1M            field.py draws, xml_files.py and a module each write

Every picture is drawn and every sentence written here: nothing comes from the datasets. The real
ones are too large for a demo and most may not be passed on; what a build must survive in them is in
the sample, each flaw at least once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rs_gpt4v_conversion.sample.dior import write_dior
from rs_gpt4v_conversion.sample.fair1m import write_fair1m
from rs_gpt4v_conversion.sample.hit_uav import write_hit_uav
from rs_gpt4v_conversion.sample.hrrsd import write_hrrsd
from rs_gpt4v_conversion.sample.hrsc2016 import write_hrsc2016
from rs_gpt4v_conversion.sample.karpathy import (
    write_rsicd,
    write_rsitmd,
    write_sydney_captions,
    write_ucm_captions,
)
from rs_gpt4v_conversion.sample.msar import write_msar
from rs_gpt4v_conversion.sample.rsvqa import write_rsvqa_hr, write_rsvqa_lr

__all__ = ["LEAST_IMAGES", "SOURCES", "SampleSummary", "draw_sample"]

LEAST_IMAGES = 4
"""With fewer a source of four splits would have an empty one."""

Writer = Callable[[Path, int, int], None]

SOURCES: dict[str, tuple[str, Writer]] = {
    "rsicd": ("RSICD", write_rsicd),
    "ucm_captions": ("UCM_captions", write_ucm_captions),
    "sydney_captions": ("Sydney_captions", write_sydney_captions),
    "rsitmd": ("RSITMD", write_rsitmd),
    "rsvqa_lr": ("RSVQA_LR", write_rsvqa_lr),
    "rsvqa_hr": ("RSVQA_HR", write_rsvqa_hr),
    "hit_uav": ("HIT-UAV", write_hit_uav),
    "dior": ("DIOR", write_dior),
    "hrrsd": ("HRRSD", write_hrrsd),
    "msar": ("MSAR-1.0", write_msar),
    "hrsc2016": ("HRSC2016", write_hrsc2016),
    "fair1m": ("FAIR1M", write_fair1m),
}
"""By kind: the source's folder, and what fills it (folder, images, seed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSummary:
    """What was drawn."""

    folder: Path
    sources_toml: Path
    images: dict[str, int]  # by kind


def draw_sample(folder: Path, *, images: int = 12, seed: int = 0) -> SampleSummary:
    """Draw a sample of every source and the `sources.toml` that names them.

    The same arguments give the same bytes. A picture depends on the seed, its source and its number
    alone, so a larger sample has the pictures of a smaller one; only their splits move.

    Args:
        folder: New, or empty.
        images: Number of images of each source, at least 4.
        seed: Any number from 0.

    Raises:
        FileExistsError: The folder holds something, or is a file.
        ValueError: Too few images, or a negative seed.
    """
    if images < LEAST_IMAGES:
        raise ValueError(f"images is {images}, expected at least {LEAST_IMAGES}: every split of every source needs one")
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected a number from 0")
    _require_empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for root, write in SOURCES.values():
        write(folder / root, images, seed)
    sources_toml = folder / "sources.toml"
    sources_toml.write_bytes(_sources_toml().encode())
    return SampleSummary(folder=folder, sources_toml=sources_toml, images=dict.fromkeys(SOURCES, images))


def _require_empty(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is a file, expected a new or an empty folder")
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty, expected a new or an empty folder")


def _sources_toml() -> str:
    head = 'version = "0.1.0"\ndate = "2026-01-01"\n'
    tables = (f'\n[[source]]\nkind = "{k}"\nroot = "{root}"\n' for k, (root, _) in SOURCES.items())
    return head + "".join(tables)
