"""What it costs to cut a large image into tiles as a build does, by CPU seconds, memory and temporary files.

Draws one image of noise and patches, cuts all its tiles in a process of its own in the order of a build, and prints
what the first tile cost (which decodes the image) and the others, the peak of memory, and the largest temporary file.

    python benchmarks/tiles.py [--side 20000] [--kind png|jpg|tif] [--engine auto|pillow|libvips] [--folder DIR]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

CUT = """
import json, sys, time
from pathlib import Path
from rs_gpt4v_conversion.images import decoding
from rs_gpt4v_conversion.images import load_image
from rs_gpt4v_conversion.naming import natural
from rs_gpt4v_conversion.images.rasters import kept_open
from rs_gpt4v_conversion.records import ImageRef
from rs_gpt4v_conversion.tiles import windows

path, side, engine = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if engine != "auto":
    decoding.MOST_PIXELS = 0 if engine == "libvips" else 10**12
from PIL import Image
if engine == "pillow":
    Image.MAX_IMAGE_PIXELS = None
refs = [
    ImageRef(image_id=f"P__{x}_{y}", source_id="P", path=path, image_path="P", width=w, height=h, parent="P",
             window=(x, y, w, h), whole=(side, side))
    for x, y, w, h in windows(side, side, 1024, 200)
]
def peak():  # of this program alone: ru_maxrss is at least that of the one that started it
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
before, costs, total = peak(), [], 0
with kept_open():
    for ref in sorted(refs, key=lambda r: natural(r.image_id)):
        begun = time.process_time(), time.perf_counter()
        total += len(load_image(ref).data)
        costs.append((time.process_time() - begun[0], time.perf_counter() - begun[1]))
print(json.dumps({"tiles": len(refs), "bytes": total, "costs": costs, "before": before, "peak": peak()}))
"""


def draw(folder: Path, side: int, kind: str) -> Path:
    """A square image; kept between runs."""
    path = folder / f"large-{side}.{kind}"
    if path.exists():
        return path
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    rng = np.random.default_rng(0)
    patch = np.asarray(
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).resize(
            (1000, 1000), Image.Resampling.BICUBIC
        )
    ).astype(np.int16)
    whole = np.empty((side, side, 3), dtype=np.uint8)
    for y in range(0, side, 1000):
        for x in range(0, side, 1000):
            part = (patch + rng.integers(-6, 7, (1000, 1000, 1), dtype=np.int16)).clip(0, 255).astype(np.uint8)
            whole[y : y + 1000, x : x + 1000] = part[: side - y, : side - x]
    options = {"png": {"compress_level": 3}, "jpg": {"quality": 85}, "tif": {"compression": "tiff_lzw"}}
    Image.fromarray(whole).save(path, **options[kind])
    return path


def measure(path: Path, side: int, engine: str, temporary: Path) -> None:
    """Cut all tiles in a process of its own, and print what it cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen(
        [sys.executable, "-c", CUT, str(path), str(side), engine], env=environment, stdout=subprocess.PIPE, text=True
    )
    largest = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, temporary, largest))
    watcher.start()
    answer, _ = process.communicate()
    if process.returncode:
        sys.exit("cutting failed")
    watcher.join()
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = json.loads(answer)
    first, others = found["costs"][0], sorted(c[0] for c in found["costs"][1:])
    print(
        f"{path.name} ({path.stat().st_size / 1e6:.0f} MB), {engine}: {found['tiles']} tiles, "
        f"{found['bytes'] / 1e6:.0f} MB; CPU {cpu:.1f} s, wall {wall:.1f} s; first tile {first[0]:.2f} s CPU, "
        f"others {others[len(others) // 2]:.3f} s (median); memory {found['before']:.0f} MB before, "
        f"{found['peak']:.0f} MB at the peak; temporary file {largest[0] / 1e6:.0f} MB"
    )


def _watch(pid: int, temporary: Path, largest: list[int]) -> None:
    """The largest file without a name in a folder that a process holds."""
    while Path(f"/proc/{pid}/fd").exists():
        try:
            for link in Path(f"/proc/{pid}/fd").iterdir():
                if str(link.readlink()).startswith(str(temporary)):
                    largest[0] = max(largest[0], link.stat().st_size)
        except OSError:  # closed, or the process has ended
            pass
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--kind", choices=("png", "jpg", "tif"), default="png")
    parser.add_argument("--engine", choices=("auto", "pillow", "libvips"), default="auto")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "rs-gpt4v-bench")
    options = parser.parse_args()
    temporary = options.folder / "temporary"
    temporary.mkdir(parents=True, exist_ok=True)
    path = draw(options.folder, options.side, options.kind)
    measure(path, options.side, options.engine, temporary)


if __name__ == "__main__":
    main()
