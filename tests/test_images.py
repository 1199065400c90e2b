"""From a source's file to a release's bytes."""

import hashlib
import io
import random
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile, JpegImagePlugin

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.images import ReleaseImage, convert, decoding, expected_bytes, load_image, needs_vips, rasters
from rs_gpt4v_conversion.images.decoding import ImageFlaw, has_ends
from rs_gpt4v_conversion.images.encoding import reduced_size
from rs_gpt4v_conversion.images.loading import Proof
from rs_gpt4v_conversion.records import ImageRef, Stretch
from rs_gpt4v_conversion.sources import Folder


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


@pytest.mark.parametrize("reason", FLAWS)
def test_the_cheap_proof_finds_the_same_flaws(reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(FLAWS[reason])
    with pytest.raises(ImageFlaw) as caught:
        load_image(ref(path), proof="ends")
    assert caught.value.reason == reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_that_was_cut_off_is_found_by_its_end_wherever_that_is(kind: str, tmp_path: Path) -> None:
    path, whole = tmp_path / "x", encoded(picture(size=(80, 60)), kind)
    cuts = range(0, len(whole), 41)
    for cut in cuts:
        assert not has_ends(whole[:cut], kind)
    for source in (*(whole[:cut] for cut in cuts), *(whole + tail for tail in (b"", b"\0\0", b"\n", b"<html>"))):
        path.write_bytes(source)
        assert outcome(path, "ends") == outcome(path, "decoded")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_whole_file_passes_undecoded(kind: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(encoded(picture(mode), kind))
    full = load_image(ref(path))
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    assert load_image(ref(path), proof="ends") == full


def test_a_png_with_a_wrong_byte_anywhere_has_no_proof_without_decoding() -> None:
    whole = encoded(picture(size=(80, 60)), "PNG")
    assert has_ends(whole, "PNG")
    for at in range(8, len(whole), 7):
        assert not has_ends(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], "PNG")


def test_an_orientation_behind_the_pixels_is_taken_out_whatever_the_proof(tmp_path: Path) -> None:
    whole, exif = encoded(picture(), "PNG"), Image.Exif()
    exif[0x0112] = 6
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path = tmp_path / "x.png"
    path.write_bytes(whole[:-12] + chunk + whole[-12:])
    assert outcome(path, "ends") == outcome(path, "decoded")
    assert load_image(ref(path), proof="ends").data == whole


def outcome(path: Path, proof: Proof) -> ReleaseImage | str:
    try:
        return load_image(ref(path), proof=proof)
    except ImageFlaw as flaw:
        return str(flaw)


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


# Windows of a file


@pytest.fixture(params=["Pillow", "libvips"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both ways in which pixels are read: large images go the second."""
    if request.param == "libvips":
        monkeypatch.setattr(decoding, "MOST_PIXELS", 0)
    with rasters.kept_open():
        yield request.param


def saved(tmp_path: Path, image: Image.Image, kind: str, **options: Any) -> Path:
    path = tmp_path / f"p.{kind.lower()}"
    path.write_bytes(encoded(image, kind, **options))
    return path


def pixels(made: ReleaseImage) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(made.data)) as image:
        assert image.size == (made.width, made.height)
        return np.asarray(image)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "LA", "1"])
def test_a_tile_of_a_lossless_file_has_its_pixels(kind: str, mode: str, engine: str, tmp_path: Path) -> None:
    whole = picture(mode, (300, 200))
    path = saved(tmp_path, whole, kind)
    made = load_image(ref(path, window=(40, 30, 100, 50), width=100, height=50, whole=(300, 200)))
    want = whole.crop((40, 30, 140, 80)).convert("RGBA")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(made.data)).convert("RGBA")), np.asarray(want))
    assert (made.suffix, made.rendering, made.scale) == (".png", "", 1.0)
    assert made.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert made.image_sha256 == hashlib.sha256(made.data).hexdigest()


def test_both_engines_make_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("PNG", "TIFF", "JPEG"):
        path = saved(tmp_path, picture(size=(300, 200)), kind)
        found = []
        for limit in (10**6, 0):
            monkeypatch.setattr(decoding, "MOST_PIXELS", limit)
            with rasters.kept_open():
                found.append(load_image(ref(path, window=(40, 30, 100, 50))))
        assert found[0] == found[1]


def test_a_tile_of_a_sixteen_bit_grey_file_stays_sixteen_bit(engine: str, tmp_path: Path) -> None:
    values = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) * 20
    path = saved(tmp_path, Image.fromarray(values), "TIFF")
    assert np.array_equal(pixels(load_image(ref(path, window=(8, 4, 16, 12)))), values[4:16, 8:24])


@pytest.mark.parametrize(("mode", "how"), [("RGB", "JPEG quality 95, 4:4:4"), ("L", "JPEG quality 95")])
def test_a_tile_of_a_jpeg_is_a_jpeg_of_high_quality(mode: str, how: str, engine: str, tmp_path: Path) -> None:
    path = saved(tmp_path, picture(mode, (300, 200)), "JPEG", quality=90, exif=exif(6))
    made = load_image(ref(path, window=(0, 100, 64, 64)))
    again = Image.open(io.BytesIO(made.data))
    assert isinstance(again, JpegImagePlugin.JpegImageFile)
    assert (again.mode, made.suffix, made.rendering) == (mode, ".jpg", f"{how} (Pillow)")
    assert not again.getexif(), "no orientation turns the tile"
    if mode == "RGB":
        assert JpegImagePlugin.get_sampling(again) == 0
    want = np.asarray(Image.open(path).crop((0, 100, 64, 164))).astype(int)
    assert np.abs(pixels(made) - want).mean() < 3


@pytest.mark.parametrize("window", [(250, 0, 64, 64), (-1, 0, 64, 64), (0, 0, 0, 10), (0, 190, 10, 11)])
def test_a_window_outside_the_image_is_a_flaw(window: tuple[int, int, int, int], engine: str, tmp_path: Path) -> None:
    path = saved(tmp_path, picture(size=(300, 200)), "PNG")
    with pytest.raises(ImageFlaw, match=r"window outside the image: .* in 300x200"):
        load_image(ref(path, window=window))


def test_a_tile_of_a_parent_of_another_size_than_annotated_is_a_flaw(engine: str, tmp_path: Path) -> None:
    path = saved(tmp_path, picture(size=(300, 200)), "PNG")
    with pytest.raises(ImageFlaw, match="image is not of the annotated size: 300x200 instead of 200x300"):
        load_image(ref(path, window=(0, 0, 64, 64), whole=(200, 300)))


def test_a_parent_is_decoded_once_and_closed_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, picture(size=(300, 200)), "PNG")
    reads = []
    monkeypatch.setattr(rasters, "read_bytes", lambda p: reads.append(p) or decoding.read_bytes(p))
    with rasters.kept_open():
        for x in (0, 50, 100):
            load_image(ref(path, window=(x, 0, 64, 64)))
        assert reads == [path]
        path.write_bytes(encoded(picture("L", size=(310, 200)), "PNG"))
        assert pixels(load_image(ref(path, window=(0, 0, 64, 64)))).ndim == 2, "a changed file is read again"
    assert rasters._opened.cache_info().currsize == 0


def test_a_broken_parent_is_tried_once(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(encoded(picture(size=(300, 200)), "PNG")[:60_000])
    found = set()
    for x in (0, 50, 100):
        with pytest.raises(ImageFlaw) as caught:
            load_image(ref(path, window=(x, 0, 64, 64)))
        found.add((caught.value.reason, caught.value.detail))
    assert len(found) == 1
    assert rasters._opened.cache_info().misses == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_broken_parent_is_a_flaw_and_never_another_error(kind: str, engine: str, tmp_path: Path) -> None:
    whole = encoded(picture(size=(80, 60)), kind)
    rng = random.Random(kind)
    path = tmp_path / "p"
    flaws = 0
    for _ in range(100):
        broken = bytearray(whole[: rng.randint(1, len(whole))])
        for _ in range(rng.randint(0, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        path.write_bytes(broken)
        with rasters.kept_open():
            for more in ({"window": (0, 30, 80, 30)}, {"max_side": 40}):
                try:
                    load_image(ref(path, **more))
                except ImageFlaw:
                    flaws += 1
    assert flaws > 60


def test_missing_and_empty_parents_have_their_flaws(engine: str, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    for name, reason in {
        "none.png": "image missing",
        "empty.png": "image is empty",
        "": "image cannot be read",
    }.items():
        with pytest.raises(ImageFlaw, match=reason):
            load_image(ref(tmp_path / name, window=(0, 0, 8, 8)))


def test_an_image_beyond_pillows_limit_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    row = np.arange(15_000) % 7 == 0
    Image.fromarray(np.broadcast_to(row, (13_000, 15_000))).save(path, compress_level=1)
    size = (15_000, 13_000)
    assert decoding.read_header(path) == decoding.Header("PNG", size), "Image.open refuses to say"
    tile = ref(path, window=(14_000, 12_000, 1000, 1000), whole=size)
    assert needs_vips(tile)
    assert np.array_equal(pixels(load_image(tile)), np.broadcast_to(row[14_000:] * np.uint8(255), (1000, 1000)))
    small = load_image(ref(path, max_side=150))
    assert (small.width, small.height, small.scale, pixels(small).ndim) == (150, 130, 0.01, 2)
    with pytest.raises(ImageFlaw, match="decompression bomb"):
        load_image(ref(path))


def test_without_pyvips_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, picture(size=(300, 200)), "PNG")
    monkeypatch.setattr(decoding, "MOST_PIXELS", 0)
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(UsageError, match=r'takes pyvips: pip install "rs-gpt4v\[large\]"'):
        load_image(ref(path, window=(0, 0, 8, 8)))


def test_a_full_disk_is_no_flaw_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvips says it in words only; seen with a TMPDIR of 50 MB."""
    import pyvips

    def full(*_: object, **__: object) -> None:
        raise pyvips.Error("unable to write to memory", "wbuffer_write: write failed\nNo space left on device\n")

    path = saved(tmp_path, picture(size=(300, 200)), "PNG")
    monkeypatch.setattr(decoding, "MOST_PIXELS", 0)
    monkeypatch.setattr(pyvips.Image, "new_from_file", full)
    with pytest.raises(UsageError, match="no room for a large image while it is cut; set TMPDIR"):
        load_image(ref(path, window=(0, 0, 8, 8)))


# Reduced images


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("limit", [64, 65, None])
def test_images_that_are_small_enough_keep_their_bytes(kind: str, limit: int | None, tmp_path: Path) -> None:
    path = saved(tmp_path, picture(), kind)
    assert load_image(ref(path, max_side=limit)) == convert(path.read_bytes())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_reduced_image(kind: str, mode: str, engine: str, tmp_path: Path) -> None:
    if (kind, engine) == ("BMP", "libvips"):
        pytest.skip("no such file was ever seen")
    base = picture(mode, (20, 13)).resize((600, 390), Image.Resampling.BICUBIC)
    path = saved(tmp_path, base, kind)
    made = load_image(ref(path, max_side=200, width=600, height=390))
    assert (made.width, made.height, made.scale) == (200, 130, 200 / 600)
    how = "; JPEG quality 95, 4:4:4 (Pillow)" if (kind, mode) == ("JPEG", "RGB") else ""
    how = how or ("; JPEG quality 95 (Pillow)" if kind == "JPEG" else "")
    assert made.rendering == f"reduced by Lanczos to 200x130{how}"
    assert made.suffix == (".jpg" if kind == "JPEG" else ".png")
    want = np.asarray(base.resize((200, 130), Image.Resampling.LANCZOS)).astype(int)
    assert pixels(made).shape == want.shape, "grey stays grey"
    assert np.abs(pixels(made) - want).mean() < 2


@pytest.mark.parametrize("mode", ["P", "1", "LA", "RGBA"])
def test_palettes_and_bits_are_reduced_as_the_colours_that_they_are(mode: str, tmp_path: Path) -> None:
    base = picture("RGB", (20, 13)).resize((600, 390), Image.Resampling.BICUBIC).convert(mode)
    made = load_image(ref(saved(tmp_path, base, "PNG"), max_side=200))
    plain = {"P": "RGB", "1": "L"}.get(mode, mode)
    want = np.asarray(base.convert(plain).resize((200, 130), Image.Resampling.LANCZOS)).astype(int)
    assert pixels(made).shape == want.shape
    assert np.abs(pixels(made) - want).mean() < 2


def test_sixteen_bit_grey_is_reduced_in_sixteen_bits(tmp_path: Path) -> None:
    values = (np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) * 20).repeat(4, 0).repeat(4, 1)
    made = pixels(load_image(ref(saved(tmp_path, Image.fromarray(values), "TIFF"), max_side=64)))
    assert made.dtype == np.uint16
    assert np.abs(made[5:-5, 5:-5].astype(int) - values[::4, ::4][5:-5, 5:-5]).mean() < 40


@given(width=st.integers(1, 3000), height=st.integers(1, 3000), limit=st.integers(1, 3000))
def test_reduced_sizes(width: int, height: int, limit: int) -> None:
    size, scale = reduced_size((width, height), limit)
    if max(width, height) <= limit:
        assert (size, scale) == ((width, height), 1.0)
    else:
        assert max(size) == limit
        assert min(size) >= 1
        assert scale == limit / max(width, height)
        assert all(abs(new - old * scale) <= 0.5 or new == 1 for new, old in zip(size, (width, height), strict=True))


def test_an_orientation_does_not_turn_a_reduced_image(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "TIFF"):
        path = saved(tmp_path, picture(size=(300, 200)), kind, exif=exif(6))
        made = load_image(ref(path, max_side=150))
        assert (made.width, made.height) == (150, 100)
        assert not Image.open(io.BytesIO(made.data)).getexif()


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_tiff_is_taken_as_it_is_stored(orientation: int, engine: str, tmp_path: Path) -> None:
    whole = picture(size=(300, 200))
    path = saved(tmp_path, whole, "TIFF", exif=exif(orientation))
    assert Folder(tmp_path).size(path) == (300, 200)
    assert np.array_equal(pixels(load_image(ref(path))), np.asarray(whole))
    tile = load_image(ref(path, window=(0, 0, 90, 60)))
    assert np.array_equal(pixels(tile), np.asarray(whole)[:60, :90])


def test_a_tile_may_be_reduced_too(engine: str, tmp_path: Path) -> None:
    path = saved(tmp_path, picture("L", (300, 200)), "PNG")
    made = load_image(ref(path, window=(100, 100, 200, 100), max_side=50))
    assert (made.width, made.height, made.scale) == (50, 25, 0.25)
    assert made.rendering == "reduced by Lanczos to 50x25"


def test_sixteen_bit_colours_pass_through_and_are_not_reduced(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    head = struct.pack(">IIBBBBB", 4, 2, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress((b"\0" + bytes(range(24))) * 2)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert load_image(ref(path)).data == path.read_bytes()
    for more in ({"max_side": 2}, {"window": (0, 0, 2, 2)}):
        with pytest.raises(ImageFlaw, match="bands of more than 8 bits: name the three to show and their range"):
            load_image(ref(path, **more))


# Bands


def banded(path: Path, bands: np.ndarray[Any, Any], *, planes: bool = False, extra: int | None = None) -> Path:
    """A TIFF of any bands (rows, columns, bands), in one strip."""
    height, width, count = bands.shape
    body = np.ascontiguousarray(bands.transpose(2, 0, 1) if planes else bands).tobytes()
    kind = {"u": 1, "i": 2, "f": 3}[bands.dtype.kind]
    shorts = {
        256: [width], 257: [height], 258: [8 * bands.itemsize] * count, 259: [1], 262: [1], 277: [count],
        278: [height], 284: [2 if planes else 1], 339: [kind] * count,
    }  # fmt: skip
    if extra is not None:
        shorts |= {262: [2], 338: [extra] * (count - 3)}
    parts = len(body) // (count if planes else 1)
    entries = {tag: (3, "H", values) for tag, values in shorts.items()}
    entries |= {
        273: (4, "I", [8 + parts * i for i in range(count if planes else 1)]),
        279: (4, "I", [parts] * (count if planes else 1)),
    }
    at, directory, behind = 8 + len(body) + 2 + 12 * len(entries) + 4, b"", b""
    for tag, (number, form, values) in sorted(entries.items()):
        content = struct.pack(f"<{len(values)}{form}", *values)
        place = content.ljust(4, b"\0") if len(content) <= 4 else struct.pack("<I", at + len(behind))
        behind += content if len(content) > 4 else b""
        directory += struct.pack("<HHI", tag, number, len(values)) + place
    head = struct.pack("<2sHI", b"II", 42, 8 + len(body))
    path.write_bytes(head + body + struct.pack("<H", len(entries)) + directory + b"\0\0\0\0" + behind)
    return path


def numbers(count: int, dtype: str, size: tuple[int, int] = (60, 40)) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 200 if dtype == "u1" else 4000, (size[1], size[0], count)).astype(dtype)


def shown(values: np.ndarray[Any, Any], low: float, high: float) -> np.ndarray[Any, Any]:
    return np.floor((values.astype(float) - low) / (high - low) * 255 + 0.5).clip(0, 255)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4", "f4"])
@pytest.mark.parametrize("window", [None, (10, 5, 33, 22)])
def test_three_of_many_bands_become_a_picture(
    dtype: str, window: tuple[int, int, int, int] | None, tmp_path: Path
) -> None:
    values = numbers(12, dtype)
    stretch = Stretch(bands=("B04", "B03", "B02"), low=0, high=3000, places=(3, 2, 1))
    made = load_image(ref(banded(tmp_path / "a.tif", values), stretch=stretch, window=window))
    part = values if window is None else values[5:27, 10:43]
    assert np.array_equal(pixels(made), shown(part[:, :, [3, 2, 1]], 0, 3000))
    assert made.rendering == "bands B04 B03 B02, 0 to 3000 as 0 to 255"
    assert made.suffix == ".png"
    assert made.source_sha256 == hashlib.sha256((tmp_path / "a.tif").read_bytes()).hexdigest()


def test_what_is_no_number_becomes_black(tmp_path: Path) -> None:
    values = numbers(3, "f4")
    values[0, 0] = (np.nan, np.inf, -np.inf)
    stretch = Stretch(bands=("a", "b", "c"), low=-10, high=20.5, places=(0, 1, 2))
    made = load_image(ref(banded(tmp_path / "a.tif", values), stretch=stretch))
    assert pixels(made)[0, 0].tolist() == [0, 255, 0]
    assert made.rendering == "bands a b c, -10 to 20.5 as 0 to 255"


def one_file_a_band(folder: Path, *sizes: tuple[int, int], dtype: str = "u2") -> ImageRef:
    files = tuple(banded(folder / f"B0{i}.tif", numbers(1, dtype, size) + i * 100) for i, size in enumerate(sizes))
    stretch = Stretch(bands=("B00", "B01", "B02"), low=1000, high=2000, files=files)
    return ref(files[0], stretch=stretch)


def test_one_file_a_band(tmp_path: Path) -> None:
    image = one_file_a_band(tmp_path, *[(60, 40)] * 3)
    assert image.files == tuple(tmp_path / f"B0{i}.tif" for i in range(3))
    made = load_image(replace(image, width=60, height=40))
    want = np.concatenate([numbers(1, "u2") + i * 100 for i in range(3)], axis=2)
    assert np.array_equal(pixels(made), shown(want, 1000, 2000))
    assert made.source_sha256 == hashlib.sha256(b"".join(p.read_bytes() for p in image.files)).hexdigest()
    tile = load_image(replace(image, window=(10, 5, 33, 22)))
    assert np.array_equal(pixels(tile), pixels(made)[5:27, 10:43])
    small = load_image(replace(image, max_side=30))
    assert small.rendering == "bands B00 B01 B02, 1000 to 2000 as 0 to 255; reduced by Lanczos to 30x20"


def test_bands_that_make_no_picture_are_flaws(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(ImageFlaw, match="bands of different sizes: 60x40, 60x40, 30x20"):
        load_image(one_file_a_band(tmp_path, (60, 40), (60, 40), (30, 20)))
    with pytest.raises(ImageFlaw, match="bands that the image does not have: 2 files instead of 3"):
        load_image(one_file_a_band(tmp_path, (60, 40), (60, 40)))
    path = banded(tmp_path / "a.tif", numbers(4, "u2"))
    for places in ((0, 1, 4), (0, 1, -1), (0, 1)):
        with pytest.raises(ImageFlaw, match=r"bands that the image does not have: .* of 4"):
            load_image(ref(path, stretch=Stretch(bands=("a", "b", "c"), low=0, high=1, places=places)))
    with pytest.raises(ImageFlaw, match="a stretch that ends where it begins: 5 to 5"):
        load_image(ref(path, stretch=Stretch(bands=("a", "b", "c"), low=5, high=5, places=(0, 1, 2))))
    color = saved(tmp_path, picture(), "PNG")
    with pytest.raises(ImageFlaw, match=r"a band's file that does not hold one band: p\.png: RGB"):
        load_image(ref(color, stretch=Stretch(bands=("a", "b", "c"), low=0, high=1, files=(color,) * 3)))


@pytest.mark.parametrize("extra", [None, 0, 1, 2])
@pytest.mark.parametrize("count", [4, 5, 8])
def test_of_more_than_three_bands_the_first_three_are_shown(
    count: int, extra: int | None, engine: str, tmp_path: Path
) -> None:
    values = numbers(count, "u1")
    path = banded(tmp_path / "a.tif", values, extra=extra)
    for more in ({}, {"window": (10, 5, 33, 22)}):
        if more and (engine, extra) == ("libvips", 1):
            with pytest.raises(ImageFlaw, match="TIFF whose colours are multiplied by opacity"):
                load_image(ref(path, **more))
            continue
        made = load_image(ref(path, **more))
        want = values[5:27, 10:43, :3] if more else values[:, :, :3]
        assert np.array_equal(pixels(made), want), "whatever is said about opacity"
        assert made.rendering == f"the first 3 of {count} bands"


@pytest.mark.parametrize("count", [2, 3, 4, 12])
def test_bands_of_more_than_eight_bits_need_a_stretch(count: int, engine: str, tmp_path: Path) -> None:
    path = banded(tmp_path / "a.tif", numbers(count, "u2"))
    for more in ({}, {"window": (0, 0, 9, 9)}, {"max_side": 9}):
        with pytest.raises(ImageFlaw, match="bands of more than 8 bits: name the three to show and their range"):
            load_image(ref(path, **more))


def test_bands_stored_one_after_the_other_are_right_or_refused(tmp_path: Path) -> None:
    four = numbers(4, "u1")
    made = load_image(ref(banded(tmp_path / "four.tif", four, planes=True, extra=2)))
    assert np.array_equal(pixels(made), four[:, :, :3])
    many = banded(tmp_path / "many.tif", numbers(8, "u1"), planes=True)
    stretch = Stretch(bands=("a", "b", "c"), low=0, high=9, places=(0, 1, 2))
    for more in ({}, {"stretch": stretch}):
        with pytest.raises(ImageFlaw, match="TIFF whose bands are stored apart: store them by pixel"):
            load_image(ref(many, **more))


def test_shards_are_planned_by_what_an_image_will_weigh(tmp_path: Path) -> None:
    plain = ref(tmp_path / "a.png", width=1000, height=500)
    assert expected_bytes(plain, 700) == 700
    assert expected_bytes(ref(tmp_path / "a.png"), 700) == 700
    assert expected_bytes(replace(plain, window=(0, 0, 1000, 500)), 10**9) == 1_500_000
    assert expected_bytes(replace(plain, path=tmp_path / "a.JPG", window=(0, 0, 1000, 500)), 10**9) == 750_000
    assert expected_bytes(replace(plain, max_side=100), 10**9) == 15_000
    assert expected_bytes(replace(plain, max_side=1000), 700) == 700
