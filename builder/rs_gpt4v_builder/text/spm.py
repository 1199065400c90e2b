"""Reads a sentencepiece model file without sentencepiece.

The file is one protobuf message, `ModelProto` of google/sentencepiece
(src/sentencepiece_model.proto). The fields that are read here, by their numbers:

    ModelProto      1 pieces (repeated SentencePiece) · 2 trainer_spec · 3 normalizer_spec
    SentencePiece   1 piece (string) · 2 score (float) · 3 type (enum, 1 where absent)
    TrainerSpec     3 model_type (enum: 1 unigram, where absent; 2 BPE; 3 word; 4 char)
    NormalizerSpec  2 precompiled_charsmap (bytes) · 4 remove_extra_whitespaces (bool, true where
    absent)
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Values of `SentencePiece.Type`."""

UNIGRAM, BPE = 1, 2
"""Values of `TrainerSpec.ModelType`."""

# wire types; 3 and 4 (groups) are not used any more
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZE = {_FIXED64: 8, _FIXED32: 4}


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; its id is its position."""

    text: str
    score: float = 0.0
    type: int = NORMAL


@dataclass(frozen=True, slots=True)
class Model:
    """What a LLaMA tokenizer needs of a sentencepiece model.

    Attributes:
        pieces: The vocabulary in the order of its ids.
        model_type: `UNIGRAM`, `BPE` or another number of `TrainerSpec.ModelType`.
        normalizes: Whether the text is rewritten before it is cut into pieces.
    """

    pieces: tuple[Piece, ...]
    model_type: int
    normalizes: bool


def parse(data: bytes) -> Model:
    """Read a serialized `ModelProto`.

    Raises:
        ValueError: The bytes are no protobuf message, or none that holds pieces.
    """
    pieces: list[Piece] = []
    model_type, charsmap, squeezes = UNIGRAM, b"", 1
    for number, value in _fields(data):
        if number == 1:
            pieces.append(_piece(_message(value)))
        elif number == 2:
            trainer = dict(_fields(_message(value)))
            model_type = _integer(trainer.get(3, UNIGRAM))
        elif number == 3:
            normalizer = dict(_fields(_message(value)))
            charsmap = _message(normalizer.get(2, b""))
            squeezes = _integer(normalizer.get(4, 1))
    if not pieces:
        raise ValueError("it holds no pieces")
    return Model(tuple(pieces), model_type, bool(charsmap) or bool(squeezes))


def _piece(data: bytes) -> Piece:
    text, score, kind = "", 0.0, NORMAL
    for number, value in _fields(data):
        if number == 1:
            text = _message(value).decode()
        elif number == 2:
            score = struct.unpack("<f", _message(value))[0]
        elif number == 3:
            kind = _integer(value)
    return Piece(text, score, kind)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Iterate over the fields of one message: number and value (int of a varint, else bytes)."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            size, position = _varint(data, position)
        elif wire in _FIXED_SIZE:
            size = _FIXED_SIZE[wire]
        else:
            raise ValueError(f"byte {position} has the unknown wire type {wire}")
        end = position + size
        if end > len(data):
            raise ValueError(f"it ends at byte {len(data)} within a field that goes to {end}")
        yield number, data[position:end]
        position = end


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Read a little-endian base-128 number; return it and the position behind it."""
    result = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError(f"no number ends at byte {position}")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number stands where text or a message is expected")
    return value


def _integer(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("text or a message stands where a number is expected")
    return value
