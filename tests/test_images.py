"""From a source's file to a release's bytes."""

import hashlib
import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rs_gpt4v_conversion.decoding import ImageFlaw
from rs_gpt4v_conversion.images import convert, load_image
from rs_gpt4v_conversion.records import ImageRef


def ref(path: Path, **more: Any) -> ImageRef:
    return ImageRef(image_id=path.stem, source_id=path.name, path=path, image_path=path.name, **more)


def picture(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    rng = np.random.default_rng(0)
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], bands) if bands > 1 else (size[1], size[0])
    return Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_and_png_keep_their_bytes(kind: str, mode: str) -> None:
    source = encoded(picture(mode), kind)
    made = convert(source)
    assert made.data == source
    assert made.image_sha256 == made.source_sha256 == hashlib.sha256(source).hexdigest()
    assert (made.width, made.height) == (64, 48)
    assert made.suffix == {"JPEG": ".jpg", "PNG": ".png"}[kind]


@pytest.mark.parametrize("kind", ["TIFF", "BMP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_tiff_and_bmp_become_png_of_the_same_pixels(kind: str, mode: str) -> None:
    source = encoded(picture(mode), kind)
    made = convert(source)
    again = Image.open(io.BytesIO(made.data))
    assert again.format == "PNG"
    assert made.suffix == ".png"
    assert np.array_equal(np.asarray(again.convert("RGB")), np.asarray(picture(mode).convert("RGB")))
    assert made.source_sha256 == hashlib.sha256(source).hexdigest() != made.image_sha256
    assert made.image_sha256 == hashlib.sha256(made.data).hexdigest()
    assert convert(source) == made


def test_sixteen_bit_grey_stays_sixteen_bit() -> None:
    pixels = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) * 20
    made = convert(encoded(Image.fromarray(pixels), "TIFF"))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(made.data))), pixels)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_orientation_of_one_keeps_the_bytes(kind: str) -> None:
    source = encoded(picture(), kind, exif=exif(1))
    assert convert(source).data == source


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_another_orientation_is_taken_out_and_the_pixels_stay(kind: str) -> None:
    source = encoded(picture(), kind, exif=exif(6))
    made = convert(source)
    before, after = Image.open(io.BytesIO(source)), Image.open(io.BytesIO(made.data))
    assert after.getexif().get(0x0112) is None
    assert np.array_equal(np.asarray(before), np.asarray(after))
    assert (made.width, made.height) == (64, 48)
    assert made.source_sha256 == hashlib.sha256(source).hexdigest() != made.image_sha256


def test_an_orientation_in_xmp_is_taken_out_too() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:tiff="t" tiff:Orientation="6"/></x:xmpmeta>'
    source = encoded(picture(), "JPEG", xmp=xmp)
    assert Image.open(io.BytesIO(source)).getexif()[0x0112] == 6
    assert Image.open(io.BytesIO(convert(source).data)).getexif().get(0x0112) is None


def bomb() -> bytes:
    """A PNG that says it is 50,000 by 50,000."""
    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


FLAWS = {
    "image is empty": b"",
    "not an image": b"<html>404</html>",
    "image is truncated": encoded(picture(size=(200, 200)), "JPEG")[:4000],
    "decompression bomb": bomb(),
    "JPEG is neither grey nor RGB": encoded(picture("CMYK"), "JPEG"),
    "image has several pictures": encoded(picture(), "TIFF", save_all=True, append_images=[picture()]),
    "TIFF whose pixels PNG cannot hold": encoded(Image.new("F", (8, 8)), "TIFF"),
}


@pytest.mark.parametrize("reason", FLAWS)
def test_each_flaw_has_its_reason(reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(FLAWS[reason])
    with pytest.raises(ImageFlaw) as caught:
        load_image(ref(path))
    assert caught.value.reason == reason


def test_missing_and_unreadable_files_have_theirs(tmp_path: Path) -> None:
    with pytest.raises(ImageFlaw, match=r"image missing: none\.jpg"):
        load_image(ref(tmp_path / "none.jpg"))
    with pytest.raises(ImageFlaw, match="image cannot be read"):
        load_image(ref(tmp_path))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_a_broken_file_is_a_flaw_and_never_another_error(kind: str) -> None:
    whole = encoded(picture(size=(80, 60)), kind)
    rng = random.Random(kind)
    flaws = 0
    for _ in range(300):
        broken = bytearray(whole[: rng.randint(1, len(whole))])
        for _ in range(rng.randint(0, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        try:
            convert(bytes(broken))
        except ImageFlaw:
            flaws += 1
    assert flaws > 100
