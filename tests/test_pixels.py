"""Images in any form -> the pixels that CLIP's processor makes of them."""

import hashlib
import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rs_gpt4v_builder.errors import OptionError, RowError
from rs_gpt4v_builder.pixels import decode, images
from rs_gpt4v_builder.pixels.clip import BACKGROUND, MEAN, STD, normalise
from rs_gpt4v_builder.pixels.decode import to_rgb
from shared import shared

NAMES = (
    "256x256", "500x375", "800x800", "1024x768", "100x300", "333x500_gray", "640x480_progressive", "336x336", "801x533",
)  # fmt: skip


def drawn(width: int, height: int, mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values).convert(mode)


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exact(image: Any, **options: Any) -> images.Pixels:
    return images.preprocess(image, resize="exact", **options)


@pytest.fixture
def pillow_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if simplejpeg were not installed."""
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    decode._simplejpeg.cache_clear()
    yield
    decode._simplejpeg.cache_clear()


SIZES = st.integers(9, 500)
WAYS = {"aspect": st.sampled_from(images.ASPECTS), "resize": st.sampled_from(images.RESIZES)}


@settings(deadline=None)  # what is cut from a strip is scaled with it
@given(width=SIZES, height=SIZES, **WAYS)
def test_any_size_becomes_the_same_shape(width: int, height: int, aspect: str, resize: str) -> None:
    colour = (10, 200, 30)
    pixels = images.preprocess(Image.new("RGB", (width, height), colour), aspect=aspect, resize=resize)
    assert (pixels.shape, pixels.dtype, pixels.flags.c_contiguous) == ((3, 336, 336), np.uint8, True)
    assert tuple(pixels[:, 168, 168]) == colour or (aspect == "pad" and min(width, height) * 8 < max(width, height))


@settings(max_examples=40)
@given(width=SIZES, height=SIZES, aspect=st.sampled_from(images.ASPECTS), kind=st.sampled_from(["PNG", "JPEG"]))
def test_the_fast_resize_is_close_to_pils_even_on_noise(width: int, height: int, aspect: str, kind: str) -> None:
    data = file_of(drawn(width, height), kind)
    off = np.abs(images.preprocess(data, aspect=aspect).astype(int) - exact(data, aspect=aspect))
    assert off.max() <= 2
    assert (off > 0).mean() <= 0.03
    assert (off > 1).mean() <= 0.001


@pytest.mark.parametrize("resize", images.RESIZES)
def test_padding_is_the_mean_colour_and_crop_has_none(resize: str) -> None:
    wide = Image.new("RGB", (672, 336), (255, 255, 255))
    padded = images.preprocess(wide, resize=resize)
    assert {tuple(padded[:, row, 5]) for row in (0, 40, 80, 255, 335)} == {BACKGROUND}
    assert (padded[:, 90:245] == 255).all()
    assert (images.preprocess(wide, aspect="crop", resize=resize) == 255).all()


@pytest.mark.parametrize("resize", images.RESIZES)
def test_an_odd_pixel_of_padding_goes_below_and_to_the_right(resize: str) -> None:
    image = Image.new("RGB", (336, 335), (255, 255, 255))
    padded = images.preprocess(image, resize=resize)
    assert (padded[:, 0] == 255).all()
    assert (padded[:, 335] == np.array(BACKGROUND)[:, None]).all()
    assert (images.preprocess(image.rotate(90, expand=True), resize=resize)[:, :, 0] == 255).all()


def test_pixels_are_written_to_a_given_array() -> None:
    for resize in images.RESIZES:
        out = np.zeros((3, 336, 336), np.uint8)
        assert images.preprocess(drawn(60, 40), resize=resize, out=out) is out
        assert np.array_equal(out, images.preprocess(drawn(60, 40), resize=resize))


def test_other_sizes_are_scaled_by_pils_bicubic_filter() -> None:
    image = drawn(500, 500)
    want = np.asarray(image.resize((336, 336), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert np.array_equal(exact(image), want)


def test_a_tall_image_too_is_scaled_horizontally_first() -> None:
    image = drawn(370, 750)
    want = image.resize((336, 750), Image.Resampling.BICUBIC).resize((336, 681), Image.Resampling.BICUBIC)
    want = want.crop((0, 172, 336, 508))
    assert np.array_equal(exact(image, aspect="crop"), np.asarray(want).transpose(2, 0, 1))


def test_crop_takes_the_middle() -> None:
    wide = drawn(505, 336)
    middle = np.asarray(wide.crop((84, 0, 420, 336))).transpose(2, 0, 1)
    assert np.array_equal(images.preprocess(wide, aspect="crop"), middle)


def test_an_image_of_the_right_size_keeps_its_pixels() -> None:
    image = drawn(336, 336)
    assert np.array_equal(images.preprocess(image), np.asarray(image).transpose(2, 0, 1))


JPEGS: dict[str, dict[str, Any]] = {
    "4:2:0": {"subsampling": 2},
    "4:2:2": {"subsampling": 1},
    "4:4:4": {"subsampling": 0},
    "progressive": {"progressive": True},
}


@pytest.mark.parametrize("name", [*JPEGS, "grey", "CMYK"])
@pytest.mark.parametrize("size", [(336, 336), (61, 336)])
def test_a_jpeg_decodes_to_what_pillow_makes_of_it(name: str, size: tuple[int, int]) -> None:
    mode = {"grey": "L", "CMYK": "CMYK"}.get(name, "RGB")
    data = file_of(drawn(*size, mode), "JPEG", **JPEGS.get(name, {}))
    assert np.array_equal(images.preprocess(data), images.preprocess(Image.open(io.BytesIO(data))))


def test_a_jpeg_with_bytes_too_many_is_taken_as_pillow_takes_it() -> None:
    data = file_of(drawn(60, 60), "JPEG")
    at = data.index(b"\xff\xdb")
    padded = data[:at] + b"junk" + data[at:]
    assert np.array_equal(images.preprocess(padded), images.preprocess(data))


def test_without_simplejpeg_pillow_decodes_and_the_log_says_so_once(
    pillow_only: None, caplog: pytest.LogCaptureFixture
) -> None:
    data = file_of(drawn(60, 40), "JPEG")
    with caplog.at_level(logging.WARNING, "rs_gpt4v_builder"):
        first, again = images.preprocess(data), images.preprocess(data)
    decode._simplejpeg.cache_clear()
    assert [record.getMessage() for record in caplog.records] == [
        "simplejpeg is not installed, so Pillow decodes the JPEGs, slower: pip install 'rs-gpt4v[fast]'"
    ]
    assert np.array_equal(first, again)
    assert np.array_equal(first, images.preprocess(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_dict_bytes_and_pil_image_give_the_same(kind: str) -> None:
    data = file_of(drawn(60, 40), kind)
    want = images.preprocess(data)
    for form in ({"bytes": data, "path": "a.png"}, {"bytes": data}, memoryview(data), Image.open(io.BytesIO(data))):
        assert np.array_equal(images.preprocess(form), want)


def test_a_path_is_read_where_the_bytes_are_not_embedded(tmp_path: Any) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(file_of(drawn(60, 40)))
    assert np.array_equal(images.preprocess({"bytes": None, "path": str(path)}), images.preprocess(drawn(60, 40)))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr"])
def test_other_modes_become_rgb_as_pil_converts_them(mode: str) -> None:
    image = drawn(336, 336, mode)
    want = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(images.preprocess(image), want)


def test_one_band_becomes_three_equal_ones() -> None:
    pixels = images.preprocess(file_of(drawn(336, 336, "L"), "JPEG"))
    assert np.array_equal(pixels[0], pixels[1])
    assert np.array_equal(pixels[0], pixels[2])


def test_a_palette_with_transparency_gives_its_colours_without_a_warning() -> None:
    image = drawn(336, 336).quantize(16)
    want = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    data = file_of(image, transparency=bytes([0] * 8 + [255] * 8))
    assert np.array_equal(images.preprocess(data), want)


def test_of_sixteen_bits_the_upper_eight_are_taken() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    want = (values // 256).astype(np.uint8)
    for image in (Image.fromarray(values), Image.fromarray(values.astype(np.int32))):
        assert image.mode in ("I;16", "I")
        assert np.array_equal(np.asarray(to_rgb(image))[:, :, 1], want)
    assert images.preprocess(file_of(Image.fromarray(values))).max() == 255
    outside = np.array([[-1, 65536]], np.int32)
    assert np.asarray(to_rgb(Image.fromarray(outside)))[0, :, 0].tolist() == [0, 255]


def test_an_exif_rotation_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = drawn(336, 336)
    assert np.array_equal(images.preprocess(file_of(image, exif=exif)), images.preprocess(image))


def test_the_table_is_what_the_formula_gives() -> None:
    levels = np.broadcast_to(np.arange(256, dtype=np.uint8), (3, 1, 256))
    got = normalise(levels)
    assert (got.dtype, got.shape) == (np.float32, (3, 1, 256))
    for channel in range(3):
        want = (np.arange(256) / 255 - MEAN[channel]) / STD[channel]
        assert np.allclose(got[channel, 0], want, rtol=0, atol=1e-6)
        assert (np.diff(got[channel, 0]) > 0).all()


def test_normalising_into_an_array_fills_it() -> None:
    pixels = images.preprocess(drawn(50, 50))
    out = np.full((3, 336, 336), np.nan, np.float32)
    assert normalise(pixels, out=out) is out
    assert np.array_equal(out, normalise(pixels))


DAMAGED = {
    "half a JPEG": file_of(drawn(60, 40), "JPEG")[:600],
    "half a PNG": file_of(drawn(60, 40))[:600],
    "prose": b"this is no image",
    "nothing": b"",
    "floats": Image.new("F", (8, 8)),
}


@pytest.mark.parametrize("resize", images.RESIZES)
@pytest.mark.parametrize("name", DAMAGED)
def test_an_image_that_does_not_decode_is_an_error_naming_the_row(name: str, resize: str) -> None:
    with pytest.raises(RowError, match=r"^row 'rsicd/3': found an image that cannot be decoded \(.+\)") as caught:
        images.preprocess(DAMAGED[name], row="rsicd/3", resize=resize)
    assert caught.value.row == "rsicd/3"


@pytest.mark.parametrize("image", [None, {"bytes": None, "path": None}, {"bytes": None, "path": "gone.png"}])
def test_no_image_is_an_error_that_says_what_to_do(image: Any) -> None:
    with pytest.raises(RowError, match=r"row 'a': found a null image.*own copy of the source"):
        images.preprocess(image, row="a")


def test_another_type_is_an_error() -> None:
    with pytest.raises(RowError, match="found an image of type list, expected a dict of bytes and path"):
        images.preprocess([1], row="a")


def test_an_unknown_aspect_is_answered_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match="aspect='stretch' is not known: use one of 'pad', 'crop'"):
        images.preprocess(drawn(8, 8), aspect="stretch")
    with pytest.raises(OptionError, match="resize='nearest' is not known: use one of 'fast', 'exact'"):
        images.preprocess(drawn(8, 8), resize="nearest")


def test_names_are_those_of_the_reference() -> None:
    assert tuple(image["name"] for image in json.loads(shared("golden", "pixels.json").read_text())["images"]) == NAMES


@pytest.mark.parametrize("aspect", images.ASPECTS)
@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_the_references_to_the_bit(name: str, aspect: str) -> None:
    with np.load(shared("golden", "pixels.npz")) as arrays:
        data, want = arrays[f"{name}__jpeg"].tobytes(), arrays[f"{name}__{aspect}_u8"]
    facts = json.loads(shared("golden", "pixels.json").read_text())
    (digests,) = (image[aspect] for image in facts["images"] if image["name"] == name)
    off = np.abs(images.preprocess(data, aspect=aspect).astype(int) - want)
    assert off.max() <= 1
    assert (off > 0).mean() <= 0.01
    pixels = exact(data, aspect=aspect)
    assert np.array_equal(pixels, want)
    assert hashlib.sha256(normalise(pixels).tobytes()).hexdigest().startswith(digests["f32_sha"])
