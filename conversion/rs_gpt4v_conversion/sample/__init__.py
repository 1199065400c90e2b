"""Draws a small copy of the source datasets, true to their layouts and to their flaws.

    RSICD, UCM-Captions, Sydney-Captions, RSITMD   scene.py draws, captions.py says what is there,
                                                   karpathy.py writes the files
    NWPU-Captions                                  the same scenes; nwpu_captions.py writes
    RSVQA-LR, RSVQA-HR                             landscape.py draws, questions.py asks,
                                                   rsvqa.py writes
    FloodNet-VQA                                   floodnet_vqa.py draws, asks and writes
    RSIVQA                                         field.py and scene.py draw, rsivqa.py writes
    RSVQAxBEN                                      landscape.py draws, rsvqaxben.py asks and writes
    HIT-UAV                                        hit_uav.py draws and writes
    DIOR-RSVG, RSVG, RSVG-HR                       field.py draws, expressions.py says which object is meant,
                                                   dior_rsvg.py and rsvg.py write
    SSDD, HRSID, SARDet-100K                       field.py draws, ships.py writes
    NWPU VHR-10, DOTA                              field.py draws, nwpu_vhr10.py and dota.py write
    conversations in LLaVA's form                  llava.py draws and writes
    DIOR, HRRSD, MSAR, HRSC2016, FAIR1M            field.py draws, xml_files.py and a module each write
    requests and answers of the GPT-4V stage       generation.py asks, gpt4v/stub answers

Every picture is drawn and every sentence written here: nothing comes from the datasets. The real
ones are too large for a demo and most may not be passed on; what a build must survive in them is in
the sample, each flaw at least once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rs_gpt4v_conversion.sample.dior import write_dior
from rs_gpt4v_conversion.sample.dior_rsvg import write_dior_rsvg
from rs_gpt4v_conversion.sample.dota import write_dota
from rs_gpt4v_conversion.sample.fair1m import write_fair1m
from rs_gpt4v_conversion.sample.floodnet_vqa import write_floodnet_vqa
from rs_gpt4v_conversion.sample.generation import TABLE, write_generation
from rs_gpt4v_conversion.sample.hit_uav import write_hit_uav
from rs_gpt4v_conversion.sample.hrrsd import write_hrrsd
from rs_gpt4v_conversion.sample.hrsc2016 import write_hrsc2016
from rs_gpt4v_conversion.sample.karpathy import (
    write_rsicd,
    write_rsitmd,
    write_sydney_captions,
    write_ucm_captions,
)
from rs_gpt4v_conversion.sample.llava import write_llava
from rs_gpt4v_conversion.sample.msar import write_msar
from rs_gpt4v_conversion.sample.nwpu_captions import write_nwpu_captions
from rs_gpt4v_conversion.sample.nwpu_vhr10 import write_nwpu_vhr10
from rs_gpt4v_conversion.sample.rsivqa import write_rsivqa
from rs_gpt4v_conversion.sample.rsvg import write_rsvg, write_rsvg_hr
from rs_gpt4v_conversion.sample.rsvqa import write_rsvqa_hr, write_rsvqa_lr
from rs_gpt4v_conversion.sample.rsvqaxben import write_rsvqaxben
from rs_gpt4v_conversion.sample.ships import write_hrsid, write_sardet_100k, write_ssdd

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
    "rsvqaxben": ("RSVQAxBEN", write_rsvqaxben),
    "hit_uav": ("HIT-UAV", write_hit_uav),
    "nwpu_captions": ("NWPU-Captions", write_nwpu_captions),
    "floodnet_vqa": ("FloodNet", write_floodnet_vqa),
    "rsivqa": ("RSIVQA", write_rsivqa),
    "dior_rsvg": ("DIOR_RSVG", write_dior_rsvg),
    "rsvg": ("RSVG", write_rsvg),
    "rsvg_hr": ("RSVG-HR", write_rsvg_hr),
    "ssdd": ("Official-SSDD-OPEN", write_ssdd),
    "hrsid": ("HRSID", write_hrsid),
    "sardet_100k": ("SARDet_100K", write_sardet_100k),
    "nwpu_vhr10": ("NWPU_VHR-10", write_nwpu_vhr10),
    "dota": ("DOTA", write_dota),
    "llava": ("LLaVA", write_llava),
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
    write_generation(folder, sources_toml, seed)
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
    return head + "".join(tables) + TABLE
