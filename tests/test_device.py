"""Pixels on the device of the model: normalising in one step, the resize by two products, nvJPEG and its absence.

The arithmetic is the same on every device, so all but the tests marked `gpu` run on the CPU.
"""

import io
import json
import logging
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rs_gpt4v_builder.pixels import clip, device, images, nvjpeg
from shared import shared

LEVELS = torch.arange(256, dtype=torch.uint8).expand(2, 3, 1, 256)


@pytest.fixture
def cuda() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    return torch.device("cuda")


def drawn(width: int, height: int, seed: int = 7) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def file_of(image: Image.Image, kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def picture(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def golden() -> Iterator[tuple[bytes, dict[str, np.ndarray]]]:
    """Each JPEG of the reference, with the pixels that it becomes by aspect."""
    names = [image["name"] for image in json.loads(shared("golden", "pixels.json").read_text())["images"]]
    with np.load(shared("golden", "pixels.npz")) as arrays:
        for name in names:
            yield arrays[f"{name}__jpeg"].tobytes(), {a: arrays[f"{name}__{a}_u8"] for a in images.ASPECTS}


def share_off(dtype: torch.dtype, aspect: str, where: str) -> tuple[int, float]:
    """Largest difference from the reference in levels, and share of values that differ."""
    off = []
    for data, want in golden():
        got = device.resize(
            [picture(Image.open(io.BytesIO(data)).convert("RGB")).to(where)], aspect=aspect, dtype=dtype
        )
        off.append(np.abs(got[0].cpu().numpy().astype(int) - want[aspect]).ravel())
    every = np.concatenate(off)
    return int(every.max()), float((every > 0).mean())


def test_normalising_in_one_step_is_within_rounding_of_the_three() -> None:
    want = clip.normalise(LEVELS[0].numpy())
    got = device.normalise(LEVELS)
    assert (got.dtype, got.shape) == (torch.float32, LEVELS.shape)
    assert np.abs(got[1].numpy() - want).max() < 3.6e-7


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_smaller_type_is_rounded_to_once(dtype: torch.dtype) -> None:
    assert torch.equal(device.normalise(LEVELS, dtype), device.normalise(LEVELS).to(dtype))


def test_normalising_takes_any_layout_and_given_memory() -> None:
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 8, 9, 3), np.uint8)).permute(0, 3, 1, 2)
    out = torch.empty(2, 3, 8, 9)
    assert device.normalise(pixels, out=out) is out
    assert torch.equal(out, device.normalise(pixels.contiguous()))


SIZES = st.integers(9, 250)


@settings(max_examples=15)
@given(width=SIZES, height=SIZES, aspect=st.sampled_from(images.ASPECTS))
def test_two_products_in_float64_are_pils_filter(width: int, height: int, aspect: str) -> None:
    image = drawn(width, height)
    got = device.resize([picture(image)], aspect=aspect, dtype=torch.float64)
    assert np.array_equal(got[0].numpy(), images.preprocess(image, aspect=aspect, resize="exact"))


def test_pictures_of_several_sizes_make_one_batch() -> None:
    pictures = [picture(drawn(*size)) for size in ((400, 300), (336, 336), (50, 90))]
    got = device.resize(pictures)
    assert (got.shape, got.dtype) == ((3, 3, 336, 336), torch.uint8)
    for one, pixels in zip(pictures, got, strict=True):
        assert torch.equal(device.resize([one])[0], pixels)


@given(size=st.integers(1, 300), target=st.integers(1, 300))
def test_the_weights_of_each_result_sum_to_one_and_lie_side_by_side(size: int, target: int) -> None:
    weights = device.bicubic_weights(size, target)
    assert weights.shape == (target, size)
    assert np.abs(weights.sum(axis=1) - 1).max() < size * 2.0**-22
    assert np.allclose(weights, weights[::-1, ::-1], atol=2.0**-21)  # what holds on the left holds on the right
    if size == target:
        assert np.array_equal(weights, np.eye(size))


def test_the_resize_keeps_its_gate_over_the_reference() -> None:
    largest, share = share_off(torch.float32, "pad", "cpu")
    assert largest <= 1
    assert share <= 0.001


@given(size=st.integers(1, 300), target=st.integers(1, 300))
def test_the_parts_of_the_weights_are_exact_in_the_types_that_a_gpu_may_round_to(size: int, target: int) -> None:
    weights = device.bicubic_weights(size, target)
    parts = device.eight_bits(weights)
    assert np.array_equal(sum(parts), weights)
    for part in parts:
        assert torch.equal(torch.from_numpy(part).bfloat16().double(), torch.from_numpy(part))


class FakeIo(ModuleType):
    """As torchvision.io is used: takes lists, and refuses one with a file that nvJPEG does not know."""

    ImageReadMode = type("ImageReadMode", (), {"RGB": "RGB"})

    def __init__(self) -> None:
        super().__init__("torchvision.io")
        self.calls: list[int] = []

    def decode_jpeg(self, data: list[torch.Tensor], mode: str, device: torch.device) -> list[torch.Tensor]:
        assert mode == "RGB"
        self.calls.append(len(data))
        opened = [Image.open(io.BytesIO(one.numpy().tobytes())) for one in data]
        if any(image.mode == "CMYK" for image in opened):
            raise RuntimeError("Error while decoding JPEG images")
        # one level brighter, to be told apart from the CPU's
        return [(picture(image.convert("RGB")) // 2 + 1).to(device) for image in opened]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIo]:
    """A torchvision whose decoder is a stand-in."""
    package, module = ModuleType("torchvision"), FakeIo()
    package.io = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    nvjpeg._torchvision.cache_clear()
    yield module
    nvjpeg._torchvision.cache_clear()


CPU = torch.device("cpu")


def test_jpegs_go_to_nvjpeg_in_one_list_and_other_files_do_not(fake: FakeIo) -> None:
    one, other = drawn(20, 30), drawn(40, 10, seed=8)
    files = [file_of(one), file_of(other, "PNG"), file_of(other)]
    got = nvjpeg.decode_on(files, CPU)
    assert fake.calls == [2]
    assert torch.equal(got[0], picture(Image.open(io.BytesIO(files[0]))) // 2 + 1)
    assert got[1] is None
    assert torch.equal(got[2], picture(Image.open(io.BytesIO(files[2]))) // 2 + 1)


def test_only_the_file_that_nvjpeg_refuses_is_left(fake: FakeIo) -> None:
    files = [file_of(drawn(20, 30)), file_of(drawn(20, 30).convert("CMYK"))]
    got = nvjpeg.decode_on(files, CPU)
    assert fake.calls == [2, 1, 1]
    assert torch.equal(got[0], picture(Image.open(io.BytesIO(files[0]))) // 2 + 1)
    assert got[1] is None


def test_a_batch_without_a_jpeg_does_not_trouble_nvjpeg(fake: FakeIo) -> None:
    assert nvjpeg.decode_on([file_of(drawn(9, 9), "PNG")], CPU) == [None]
    assert fake.calls == []


class Broken:
    """A finder under which importing torchvision fails as it does beside a torch for the CPU."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")


def test_where_torchvision_cannot_be_imported_nothing_is_taken_and_the_log_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    nvjpeg._torchvision.cache_clear()
    data = file_of(drawn(20, 30))
    with caplog.at_level(logging.WARNING, "rs_gpt4v_builder"):
        assert nvjpeg.decode_on([data], CPU) == nvjpeg.decode_on([data], CPU) == [None]
    nvjpeg._torchvision.cache_clear()
    (record,) = caplog.records
    assert "operator torchvision::nms does not exist" in record.getMessage()


@pytest.mark.gpu
@pytest.mark.parametrize("aspect", images.ASPECTS)
def test_the_resize_keeps_its_gate_on_a_gpu(cuda: torch.device, aspect: str) -> None:
    assert share_off(torch.float64, aspect, "cuda") == (0, 0.0)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")  # as many training scripts have it
        largest, share = share_off(torch.float32, aspect, "cuda")
    finally:
        torch.set_float32_matmul_precision(before)
    assert largest <= 1
    assert share <= 0.001


@pytest.mark.gpu
def test_normalising_on_a_gpu_is_within_rounding_and_needs_no_memory_between(cuda: torch.device) -> None:
    want = clip.normalise(LEVELS[0].numpy())
    assert np.abs(device.normalise(LEVELS.to(cuda))[0].cpu().numpy() - want).max() < 3.6e-7
    pixels = torch.zeros((16, 3, 336, 336), dtype=torch.uint8, device=cuda)
    out = torch.empty(pixels.shape, dtype=torch.bfloat16, device=cuda)
    device.normalise(pixels, out=out)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    device.normalise(pixels, out=out)
    assert torch.cuda.max_memory_allocated() == before


@pytest.mark.gpu
def test_nvjpeg_is_within_its_gate(cuda: torch.device) -> None:
    if nvjpeg._torchvision() is None:
        pytest.skip("torchvision cannot be imported")
    for data, want in golden():
        got = device.resize([one for one in nvjpeg.decode_on([data], cuda) if one is not None])[0].cpu().numpy()
        assert np.abs(got.astype(int) - want["pad"]).mean() <= 1.5
