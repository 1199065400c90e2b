"""Cases of feeding.py: a reader or a pipeline runs whole epochs, and they are timed.

Workers stay alive between epochs. The first epoch warms up and is left out, but for the cold cases, where it is all.
"""

import functools
import io
import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from feed import meter
from feed.readers import READERS, Ask, Batch, Collate, Files, Row, names_and_bytes

SIDE = 336
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
Result = dict[str, float]


def read(reader: str, root: str, workers: int, cold: bool = False, least: float = 1.0) -> Result:
    """Encoded bytes and text, nothing else.

    Args:
        reader: Key of `READERS`.
        root: Folder of a set.
        workers: Of the loader; 0 reads in this process.
        cold: Drop the container from the page cache before and time the only epoch.
        least: Seconds that the timed epochs take together at least.
    """
    used = READERS[reader]
    loader = used.open(Ask(root, names_and_bytes, workers=workers))
    if cold:
        used.forget(Path(root))
        return _timed(loader, count_ids, warm=0, least=0)
    return _timed(loader, count_ids, warm=1, least=least)


def count_ids(batch: Batch) -> int:
    """Samples of a batch of `names_and_bytes`."""
    return len(batch["id"])


def count_rows(batch: Batch) -> int:
    """Samples of a LLaVA batch."""
    return len(batch["input_ids"])


def _timed(loader: Iterable[Batch], count: Callable[[Batch], int], *, warm: int, least: float) -> Result:
    """Samples a second of wall time (median of the epochs) and CPU milliseconds a sample (of all)."""
    for _ in range(warm):
        for _ in loader:
            pass
    rates: list[float] = []
    total, begun, cpu = 0, time.perf_counter(), meter.cpu_seconds()
    while not rates or time.perf_counter() - begun < least:
        start = time.perf_counter()
        seen = sum(count(batch) for batch in loader)
        rates.append(seen / (time.perf_counter() - start))
        total += seen
    return {"rate": statistics.median(rates), "cpu_ms": (meter.cpu_seconds() - cpu) * 1e3 / total, "samples": total}


def batches(reader: str, root: str, tokenizer: str, pixels: str) -> Result:
    """A reader with this project's collator: bytes to ids, labels and pixels."""
    from rs_gpt4v_builder import LlavaCollator, load_tokenizer

    collate = LlavaCollator(load_tokenizer(tokenizer), pixels=pixels)
    return _timed(READERS[reader].open(Ask(root, collate)), count_rows, warm=1, least=0)


def original(root: str, tokenizer: str) -> Result:
    """LazySupervisedDataset and its collator, as finetune.sh of LLaVA-1.5 sets them up, in a DataLoader."""
    import types

    import llava.train.train as train
    import transformers
    from llava import conversation

    conversation.default_conversation = conversation.conv_templates["v1"]
    words = _tokenizer(transformers, tokenizer)
    words.pad_token = words.unk_token
    options = types.SimpleNamespace(
        is_multimodal=True, mm_use_im_start_end=False, image_aspect_ratio="pad", image_folder=f"{root}/files/images",
        image_processor=transformers.CLIPImageProcessor(**_size()),
    )  # fmt: skip
    dataset = train.LazySupervisedDataset(f"{root}/files/data.json", words, options)
    return _timed(_in_loader(dataset, train.DataCollatorForSupervisedDataset(words)), count_rows, warm=1, least=0)


def processor(root: str, tokenizer: str, backend: str, source: str) -> Result:
    """LlavaProcessor of transformers in a DataLoader: `backend` pil or torchvision, images from `source` pil or tensor.

    It makes no labels; here they are the ids with the image's masked, which takes no time.
    """
    import transformers

    words = _tokenizer(transformers, tokenizer)
    words.add_tokens(["<image>", "<pad>"], special_tokens=True)
    words.pad_token = "<pad>"
    names = {"pil": "CLIPImageProcessorPil", "torchvision": "CLIPImageProcessor"}
    images = getattr(transformers, names[backend])(**_size())
    if images.backend != backend:
        raise RuntimeError(f"the image processor's backend is {images.backend}, not {backend}")
    whole = transformers.LlavaProcessor(
        images, words, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return _timed(_in_loader(Files(root), functools.partial(_processed, whole, source)), count_rows, warm=1, least=0)


def _tokenizer(transformers: Any, file: str) -> Any:
    """The tokenizer as training has it, from a folder as a checkpoint is one."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(file, folder)
        Path(folder, "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer", "legacy": false}')
        return transformers.LlamaTokenizer.from_pretrained(
            folder, model_max_length=2048, padding_side="right", legacy=False
        )


def _size() -> dict[str, Any]:
    return {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}


def _in_loader(dataset: Any, collate: Collate) -> Iterable[Batch]:
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    return DataLoader(dataset, 16, shuffle=True, num_workers=2, collate_fn=collate, persistent_workers=True)


def _processed(whole: Any, source: str, rows: Sequence[Row]) -> Batch:
    decode = _tensor if source == "tensor" else _picture
    images = [decode(row["image"]["bytes"]) for row in rows]
    texts = [_prompt(row["conversations"]) for row in rows]
    batch = dict(whole(images=images, text=texts, return_tensors="pt", padding=True))
    labels = batch["input_ids"].clone()
    labels[labels >= 32000] = -100
    return {**batch, "labels": labels}


def _picture(data: bytes) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(data)).convert("RGB")


def _tensor(data: bytes) -> Any:
    import torch
    from torchvision.io import decode_jpeg

    return decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))


def _prompt(conversations: Sequence[dict[str, str]]) -> str:
    pairs = zip(conversations[::2], conversations[1::2], strict=True)
    return f"{SYSTEM} " + "".join(f"USER: {q['value']} ASSISTANT: {a['value']}</s>" for q, a in pairs)


def ceiling(root: str) -> Result:
    """What no pipeline with these pixels can pass: full decode and uint8 resize on two threads, and nothing else."""
    import torch

    torch.set_num_threads(1)
    dataset = Files(root)
    images = [dataset[number]["image"]["bytes"] for number in range(len(dataset))]
    with ThreadPoolExecutor(2) as pool:
        return _timed(_Mapped(pool, _decode_and_resize, images), lambda _: 1, warm=1, least=0)


class _Mapped:
    """An epoch of one function over a list, its results dropped."""

    def __init__(self, pool: ThreadPoolExecutor, function: Callable[[bytes], int], items: list[bytes]) -> None:
        self.pool, self.function, self.items = pool, function, items

    def __iter__(self) -> Any:
        return ({"input_ids": done} for done in self.pool.map(self.function, self.items))


def _decode_and_resize(data: bytes) -> int:
    import simplejpeg
    import torch

    pixels = simplejpeg.decode_jpeg(data, "RGB")
    high, wide = (round(side * SIDE / max(pixels.shape[:2])) for side in pixels.shape[:2])
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]  # channels last in memory, which the resize likes best
    small = torch.nn.functional.interpolate(planes, (high, wide), mode="bicubic", antialias=True, align_corners=False)
    return small.numel()


def versions(names: Sequence[str]) -> dict[str, str]:
    """Installed versions of some distributions."""
    from importlib import metadata

    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return dict(itertools.islice(found.items(), 20))
