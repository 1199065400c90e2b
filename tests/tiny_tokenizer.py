"""A tiny sentencepiece model like LLaMA's, written byte by byte: the tests need no file of Meta's."""

import json
import struct

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6

SPACE = "\u2581"
# `▁US ER` against `USER` and the runs of spaces are what LLaMA's own vocabulary trips people with
WORDS = ["ER", "▁U", "▁US", "US", "USER", "AS", "SI", "ST", "ASSI", "in", "th", "the", "▁the", "▁a", "on"]
RUNS = [SPACE * count for count in (2, 4, 8, 3)]
LETTERS = [*"ETAOINSHRLDUabcdefghijklmnopqrstuvwxyz:.,?!0123456789[]é飞", SPACE]

Piece = tuple[str, float, int]


def tiny_pieces() -> list[Piece]:
    """Text, score and type of each piece; a later word has a lower score, runs of spaces the lowest."""
    special = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    octets = [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    words = list(dict.fromkeys([*WORDS, *LETTERS]))
    scored = [(word, -1e9 if word == SPACE else -float(rank), NORMAL) for rank, word in enumerate(words)]
    return [*special, *octets, *((run, -1e9, NORMAL) for run in RUNS), *scored]


def tiny_model(pieces: list[Piece] | None = None, *, model_type: int = 2, squeeze: bool = False) -> bytes:
    """A serialized `ModelProto`: pieces, TrainerSpec (type, byte_fallback), NormalizerSpec."""
    out = b""
    for text, score, kind in pieces or tiny_pieces():
        body = field(1, text.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score)
        out += field(1, body + (number(3, kind) if kind != NORMAL else b""))
    out += field(2, number(3, model_type) + number(35, 1))
    return out + field(3, field(1, b"identity") + number(3, 1) + number(4, int(squeeze)))


def tiny_json(*, spaces_first: bool = False, strings: bool = False) -> str:
    """The same vocabulary as a `tokenizer.json`, with the traps that converters put into it."""
    pieces = tiny_pieces()
    score = {text: value for text, value, kind in pieces if kind == NORMAL}
    ids = {text: position for position, (text, _, _) in enumerate(pieces)}
    pairs = [(w[:cut], w[cut:]) for w in score for cut in range(1, len(w)) if w[:cut] in score and w[cut:] in score]
    pairs.sort(key=lambda p: (-score["".join(p)], ids["".join(p)], ids[p[0]], ids[p[1]]))
    if spaces_first:
        pairs.sort(key=lambda p: bool("".join(p).strip(SPACE)))
    merges = [" ".join(pair) for pair in pairs] if strings else [list(pair) for pair in pairs]
    prefix = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}]}
    added = [{"id": len(ids), "content": "<image>", "special": True, "normalized": False}]
    model = {"type": "BPE", "vocab": ids, "merges": merges, "byte_fallback": True}
    return json.dumps({"version": "1.0", "normalizer": prefix, "added_tokens": added, "model": model})


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(tag: int, value: int) -> bytes:
    return varint(tag << 3) + varint(value)


def field(tag: int, data: bytes) -> bytes:
    return varint(tag << 3 | 2) + varint(len(data)) + data
