"""Where a `Loader`'s batches go: the CPU, or a device that gets bytes and normalises them itself.

A target is asked twice for each batch: `send` in the thread that made it, `receive` in the one that trains.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from PIL import Image

from rs_gpt4v_builder.batch.collate import LlavaCollator
from rs_gpt4v_builder.errors import OptionError
from rs_gpt4v_builder.pixels.clip import SIZE
from rs_gpt4v_builder.pixels.decode import source_of
from rs_gpt4v_builder.pixels.device import normalise, resize
from rs_gpt4v_builder.pixels.images import CpuImager, Imager, picture
from rs_gpt4v_builder.pixels.nvjpeg import decode_on

Batch = dict[str, Any]
Collate = Callable[..., Any]

IMAGES = ("images", "pixel_values")
"""Names of the images in a batch of a `LlavaCollator`."""


class Target(Protocol):
    """Where batches go."""

    @property
    def imager(self) -> Imager | None:
        """What makes the images of a batch; None leaves it to the collator."""

    def send(self, batch: Any) -> Any:
        """Take a batch that was just made. Called from several threads."""

    def receive(self, sent: Any) -> Any:
        """Give a batch that was sent to the training step."""


class DeviceImager(Imager, Protocol):
    """An imager whose last step is taken on the device."""

    def finish(self, made: Any, device: torch.device) -> torch.Tensor:
        """Make (N, 3, 336, 336) uint8 on the device of what `stack` gave."""


def find_target(
    collate: Collate, device: str | torch.device | None, dtype: torch.dtype | None, *, resize: str, decode: str
) -> Target:
    """Make the target that the arguments of a `Loader` describe.

    Raises:
        OptionError: They do not go together, or the machine has no such device.
    """
    if resize not in ("cpu", "device"):
        raise OptionError.unknown("resize", resize, ("cpu", "device"))
    if decode not in ("cpu", "nvjpeg"):
        raise OptionError.unknown("decode", decode, ("cpu", "nvjpeg"))
    where = _device(device)
    if not (dtype is None or (isinstance(dtype, torch.dtype) and dtype.is_floating_point)):
        raise OptionError(f"dtype={dtype!r}: expected a floating-point type, such as torch.bfloat16, or None")
    if not isinstance(collate, LlavaCollator):
        if dtype is not None or (resize, decode) != ("cpu", "cpu"):
            raise OptionError("dtype, resize and decode are about a LlavaCollator's images: leave them out, or use one")
        return OnHost(None) if where.type == "cpu" else OnDevice(where, None, None)
    if collate.pixels == "uint8" and dtype is not None:
        raise OptionError(f"dtype={dtype} with a collator of pixels='uint8', which stay bytes: leave one of them out")
    if decode == "nvjpeg" and where.type != "cuda":
        raise OptionError(f"decode='nvjpeg' on {str(where)!r}: it decodes on a GPU; use device='cuda', or decode='cpu'")
    if where.type == "cpu" and resize == "cpu":
        return OnHost(dtype)
    final = None if collate.pixels == "uint8" else dtype or torch.float32
    return OnDevice(where, _imager(collate, where, resize, decode), final)


def _device(device: str | torch.device | None) -> torch.device:
    try:
        found = torch.device("cpu" if device is None else device)
    except (RuntimeError, TypeError) as error:
        raise OptionError(f"device={device!r} is not known to torch: {error}") from error
    if found.type != "cuda":
        return found
    if not torch.cuda.is_available():
        raise OptionError(f"device={str(device)!r}: torch finds no GPU on this machine; leave `device` out for the CPU")
    # a worker's thread has a current device of its own
    return torch.device("cuda", torch.cuda.current_device() if found.index is None else found.index)


def _imager(collate: LlavaCollator, device: torch.device, resize: str, decode: str) -> DeviceImager:
    if decode == "nvjpeg":
        return FileImager(collate.aspect)
    if resize == "device":
        return PictureImager(collate.aspect)
    return ByteImager(collate.aspect, collate.resize, "uint8", pin=device.type == "cuda")


class OnHost:
    """Leaves batches where they were made.

    Args:
        dtype: Of the images; None leaves them as they are.
    """

    imager = None

    def __init__(self, dtype: torch.dtype | None) -> None:
        self._dtype = dtype

    def send(self, batch: Any) -> Any:
        """Return the batch."""
        return batch

    def receive(self, sent: Any) -> Any:
        """Return the batch, with images and masks of the dtype that was asked for."""
        dtype = self._dtype
        if dtype is None:
            return sent
        return {name: value.to(dtype) if name in IMAGES or _is_added(value) else value for name, value in sent.items()}


class Sent(NamedTuple):
    """A batch on its way to a GPU, and the event after which it is there."""

    batch: Any
    arrived: torch.cuda.Event | None


class OnDevice:
    """Moves batches to a device, on a GPU by a stream of its own.

    Args:
        device: Where to.
        imager: What makes the images of a `LlavaCollator`; None for batches of others.
        dtype: Of normalised images; None leaves them bytes.
    """

    def __init__(self, device: torch.device, imager: DeviceImager | None, dtype: torch.dtype | None) -> None:
        self.imager = imager
        self._device, self._dtype = device, dtype
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def send(self, batch: Any) -> Sent:
        """Start to move a batch."""
        with torch.cuda.stream(self._stream):
            if self.imager is None:
                moved = _each_tensor(self._move, batch)
            else:
                moved = {n: self._images(v) if n in IMAGES else _each_tensor(self._move, v) for n, v in batch.items()}
            return Sent(moved, self._stream.record_event() if self._stream else None)

    def receive(self, sent: Sent) -> Any:
        """Have what the training step does from now on wait for the batch."""
        if sent.arrived is not None:
            current = torch.cuda.current_stream(self._device)
            current.wait_event(sent.arrived)
            # its memory was taken on another stream, which must not have it back before the step has done with it
            _each_tensor(partial(_used_on, current), sent.batch)
        return sent.batch

    def _move(self, tensor: torch.Tensor) -> torch.Tensor:
        if self._stream is not None and not tensor.is_pinned():
            tensor = tensor.pin_memory()
        moved = tensor.to(self._device, non_blocking=True)
        return moved.to(self._dtype) if self._dtype is not None and _is_added(moved) else moved

    def _images(self, made: Any) -> torch.Tensor:
        if self.imager is None:
            raise TypeError("only batches with an imager have images to finish")
        pixels = self.imager.finish(made, self._device)
        return pixels if self._dtype is None else normalise(pixels, self._dtype)


def _is_added(tensor: torch.Tensor) -> bool:
    """Tell whether it is a mask that attention adds to its scores, which on a GPU has to be of the model's dtype."""
    return tensor.is_floating_point() and tensor.ndim == 4 and tensor.shape[1] == 1


def _used_on(stream: torch.cuda.Stream, tensor: torch.Tensor) -> torch.Tensor:
    tensor.record_stream(stream)
    return tensor


def _each_tensor(change: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """Replace every tensor in dicts, lists and tuples."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _each_tensor(change, one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_each_tensor(change, one) for one in value]
    return value


@dataclass(frozen=True)
class ByteImager(CpuImager):
    """Makes pixels on the CPU and moves them as bytes.

    Attributes:
        pin: Whether to take memory from which a GPU copies by itself. torch keeps it and hands it out again.
    """

    pin: bool = False

    def memory(self, count: int) -> torch.Tensor:
        """Take memory for a batch, (count, 3, 336, 336) uint8."""
        return torch.empty((count, 3, SIZE, SIZE), dtype=torch.uint8, pin_memory=self.pin)

    def finish(self, made: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Move the pixels."""
        return made.to(device, non_blocking=True)


@dataclass(frozen=True)
class PictureImager:
    """Decodes on the CPU and resizes on the device.

    Attributes:
        aspect: As in `pixels.images.preprocess`.
    """

    aspect: str

    def one(self, image: Any, row: str) -> torch.Tensor:
        """Decode an image: (3, H, W) uint8."""
        return picture(image, row=row)

    def stack(self, made: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
        """Keep the images apart, as their sizes differ."""
        return list(made)

    def finish(self, made: Sequence[torch.Tensor | None], device: torch.device) -> torch.Tensor:
        """Resize the images; zeros where there is none."""
        out = torch.zeros((len(made), 3, SIZE, SIZE), dtype=torch.uint8, device=device)
        shown = [(n, one.to(device, non_blocking=True)) for n, one in enumerate(made) if one is not None]
        if shown:
            numbers, pictures = zip(*shown, strict=True)
            out[list(numbers)] = resize(pictures, aspect=self.aspect)
        return out


class File(NamedTuple):
    """An image file of a row."""

    row: str
    data: bytes


@dataclass(frozen=True)
class FileImager:
    """Decodes and resizes on a GPU.

    Attributes:
        aspect: As in `pixels.images.preprocess`.
    """

    aspect: str

    def one(self, image: Any, row: str) -> File | torch.Tensor:
        """Take the bytes of an image file; an image that is open already is decoded."""
        source = source_of(image, row)
        return picture(source, row=row) if isinstance(source, Image.Image) else File(row, bytes(source))

    def stack(self, made: Sequence[File | torch.Tensor | None]) -> list[File | torch.Tensor | None]:
        """Keep the files apart."""
        return list(made)

    def finish(self, made: Sequence[File | torch.Tensor | None], device: torch.device) -> torch.Tensor:
        """Decode and resize the images; zeros where there is none.

        Raises:
            RowError: An image cannot be decoded on the CPU either.
        """
        decoded = iter(decode_on([one.data for one in made if isinstance(one, File)], device))
        pictures = []
        for one in made:
            found = next(decoded) if isinstance(one, File) else one
            if found is None and isinstance(one, File):
                found = picture(one.data, row=one.row)
            pictures.append(found)
        return PictureImager(self.aspect).finish(pictures, device)
