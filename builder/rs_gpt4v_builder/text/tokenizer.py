"""LLaMA's tokenizer, on the `tokenizers` library alone.

LLaVA trains with the slow `LlamaTokenizer` of transformers 4.3x, which is sentencepiece plus rules
of its own about the dummy prefix `▁`. Here the sentencepiece model becomes a BPE of `tokenizers`
(merges ranked by the score of the piece that they make, bytes for what has no piece) and the prefix
is put in by hand, which gives the same ids. Neither sentencepiece nor transformers is used: the
conversion in transformers 5 ranks the pieces of several spaces first, although their score is the
lowest, and forgets the prefix before a text that begins with a space.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, models, normalizers

from rs_gpt4v_builder.errors import TokenizerError
from rs_gpt4v_builder.text import spm

SPACE = "\u2581"
"""The piece that stands for a space, and the dummy prefix before a text."""

UNK, BOS, EOS = "<unk>", "<s>", "</s>"
SPECIALS = (UNK, BOS, EOS)
"""Special tokens. One that data holds literally becomes that token, as in the original code."""

_BEFORE_TEXT = re.compile(r"(<unk>|<s>|</s>)(?=.)(?!<unk>|<s>|</s>)", re.DOTALL)
_OF_LLAMA = {SPACE * 2: 259, f"{SPACE}t": 260, "er": 261, f"{SPACE}th": 266}
"""Pieces by which the vocabulary of LLaMA 1 and 2 is known."""

_LFS_POINTER = b"version https://git-lfs"
_EXPECTED = "expected LLaMA's sentencepiece `tokenizer.model`, a `tokenizer.json` made from it, or a folder with either"


@dataclass(frozen=True, slots=True)
class LlamaTokenizer:
    """Text to ids as LLaVA's training sees them. Can be pickled.

    Attributes:
        bpe: Cuts text into pieces; adds neither a prefix nor special tokens of its own.
        bos_id: Id of `<s>`.
        eos_id: Id of `</s>`.
        unk_id: Id of `<unk>`.
    """

    bpe: Tokenizer = field(repr=False)
    bos_id: int
    eos_id: int
    unk_id: int

    @property
    def pad_id(self) -> int:
        """Id that fills a batch: LLaVA pads with `<unk>`."""
        return self.unk_id

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return self.bpe.get_vocab_size()

    def encode(self, text: str, *, prefix: bool, legacy: bool = False) -> list[int]:
        """Encode one piece of text, without `<s>` and `</s>` around it.

        Args:
            text: Any text; special tokens in it become their ids.
            prefix: Whether the text begins a chunk, which gets the dummy prefix `▁`, except where
                the text is empty or begins with a special token.
            legacy: Whether text behind a special token gets the prefix, too (`legacy=True` of
            transformers).

        Returns:
            The ids, none for an empty text.
        """
        if not text:
            return []
        if legacy:
            text = _BEFORE_TEXT.sub(r"\1 ", text)
        if prefix and not text.startswith(SPECIALS):
            text = " " + text
        ids: list[int] = self.bpe.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Iterable[str], *, prefix: bool, legacy: bool = False) -> list[list[int]]:
        """Encode several texts; see `encode`.

        One after the other on purpose: the library's own batch call starts a pool of threads, which
        contends with the workers of a data loader and must not exist in a process that forks.
        """
        return [self.encode(text, prefix=prefix, legacy=legacy) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens included; meant for people and for tests.

        Raises:
            ValueError: An id is not in the vocabulary (-200, the place of an image, is not).
        """
        out = bytearray()
        for number in ids:
            piece = self.bpe.id_to_token(number) if number >= 0 else None
            if piece is None:
                raise ValueError(f"id {number} is not in the vocabulary of {self.vocab_size} ids")
            byte = _byte_of(piece)
            out += piece.replace(SPACE, " ").encode() if byte is None else bytes([byte])
        return out.decode(errors="replace")


def load_tokenizer(path: str | Path) -> LlamaTokenizer:
    """Load LLaMA's tokenizer.

    Args:
        path: A sentencepiece `tokenizer.model`, a `tokenizer.json` of the `tokenizers` library, or
            a folder of a LLaMA or Vicuna checkpoint that holds either (the former is taken where
            there are both). Of a `tokenizer.json` only the vocabulary and the merges of its section
            `model` are taken: its normalizer, its pre-tokenizer and its post-processor treat
            prefixes otherwise than the original code, and its added tokens (`<pad>`, `<image>`) are
            plain text to it. Merges that make runs of spaces are ranked last, as their scores say,
            where a converter has misplaced them.

    Raises:
        TokenizerError: Nothing is there, or it is not the tokenizer of LLaMA 1 or 2.
    """
    file = _find(Path(path).expanduser())
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TokenizerError(f"{file} cannot be read ({error.strerror or error}): {_EXPECTED}") from error
    if data.startswith(_LFS_POINTER):
        found = "is a Git LFS pointer, not the file itself"
        raise TokenizerError(f"{file} {found}: run `git lfs pull`")
    try:
        parts = _from_json(data) if data.lstrip()[:1] == b"{" else _from_spm(data)
        return _build(*parts)
    except ValueError as error:
        raise TokenizerError(f"{file} is no LLaMA tokenizer ({error}): {_EXPECTED}") from error


def byte_tokenizer() -> LlamaTokenizer:
    """Make a stand-in for LLaMA's tokenizer that needs no file.

    Its pieces are `<unk>`, `<s>`, `</s>`, the 256 bytes and `▁`.

    For demos and smoke tests where LLaMA's `tokenizer.model` (which is under Meta's licence and is
    not part of this project) is not at hand. Special tokens, spaces and the rules about prefixes
    are the same as LLaMA's, and so is everything that follows from them: which tokens are learnt,
    where the image stands. But a text has several times as many tokens, and the ids mean nothing to
    a trained model.
    """
    pieces = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256)), SPACE]
    return _build({piece: number for number, piece in enumerate(pieces)}, [])


def _find(path: Path) -> Path:
    if path.is_dir():
        for name in ("tokenizer.model", "tokenizer.json"):
            if (path / name).is_file():
                return path / name
        found = "holds neither tokenizer.model nor tokenizer.json"
        raise TokenizerError(f"{path} {found}: {_EXPECTED}")
    if not path.exists():
        raise TokenizerError(f"{path} does not exist: {_EXPECTED}")
    return path


def _from_spm(data: bytes) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a sentencepiece model.

    A merge of sentencepiece is any pair of neighbours that together make a piece, the one of the
    highest score first. In a list of merges these are all ways to cut a piece in two, ranked by the
    piece's score; ties (the pieces of several spaces all have -1e9) by the ids of the two halves.

    Raises:
        ValueError: The model is not a BPE such as LLaMA's.
    """
    model = spm.parse(data)
    if model.model_type != spm.BPE:
        raise ValueError(f"its model type is {model.model_type}, not {spm.BPE}, BPE")
    if model.normalizes:
        raise ValueError("it rewrites the text before cutting it, which LLaMA's does not")
    odd = {p.type for p in model.pieces} - {spm.NORMAL, spm.UNKNOWN, spm.CONTROL, spm.BYTE}
    if odd:
        raise ValueError(f"it has pieces of type {min(odd)}, which LLaMA's has not")
    normal = {piece.text: number for number, piece in enumerate(model.pieces) if piece.type == spm.NORMAL}
    ranked = []
    for whole, number in normal.items():
        score = model.pieces[number].score
        for cut in range(1, len(whole)):
            left, right = normal.get(whole[:cut]), normal.get(whole[cut:])
            if left is not None and right is not None:
                ranked.append((-score, number, left, right))
    ranked.sort()
    vocab = {piece.text: number for number, piece in enumerate(model.pieces)}
    return vocab, [(model.pieces[left].text, model.pieces[right].text) for _, _, left, right in ranked]


def _from_json(data: bytes) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a `tokenizer.json`.

    Raises:
        ValueError: It is no JSON, or its model is not a BPE.
    """
    model = json.loads(data).get("model")
    if not isinstance(model, Mapping) or "vocab" not in model:
        raise ValueError("it is JSON without a tokenizer's `model`")
    if not isinstance(model["vocab"], Mapping) or "merges" not in model:
        raise ValueError(f"its model is {model.get('type')!r}, not 'BPE'")
    vocab = dict(model["vocab"])
    merges = [_merge(entry) for entry in model["merges"]]
    for left, right in merges:
        if not {left, right, left + right} <= vocab.keys():
            raise ValueError(f"its vocabulary lacks a piece of the merge {left!r} {right!r}")
    return vocab, _spaces_last(merges, vocab)


def _merge(entry: Any) -> tuple[str, str]:
    """One merge, written as `"a b"` (until tokenizers 0.19) or as `["a", "b"]`."""
    halves = entry.split(" ") if isinstance(entry, str) else entry
    if len(halves) != 2:
        raise ValueError(f"the merge {entry!r} is not made of two pieces")
    return halves[0], halves[1]


def _spaces_last(merges: list[tuple[str, str]], vocab: Mapping[str, int]) -> list[tuple[str, str]]:
    """Rank merges that make runs of spaces last where a converter has misplaced them.

    Their scores in LLaMA's model are the lowest of all, but transformers 5 goes by ids: all of them
    first (5.23), or each where the id of its piece is (5.24). The latter is the truth in a model
    that was trained so, hence it is changed only in LLaMA's own vocabulary. Training a BPE on text
    full of spaces may put one or two such merges first, but never all the way to the longest run,
    so three and more are a safe sign of the former.
    """
    spaces = [merge for merge in merges if _is_spaces(merge)]
    all_first = len(spaces) >= 3 and all(map(_is_spaces, merges[: len(spaces)]))
    if not all_first and any(vocab.get(piece) != number for piece, number in _OF_LLAMA.items()):
        return merges
    spaces.sort(key=lambda pair: (vocab["".join(pair)], vocab[pair[0]], vocab[pair[1]]))
    return [merge for merge in merges if not _is_spaces(merge)] + spaces


def _is_spaces(merge: tuple[str, str]) -> bool:
    return not "".join(merge).strip(SPACE)


def _build(vocab: dict[str, int], merges: list[tuple[str, str]]) -> LlamaTokenizer:
    """Make the tokenizer of a vocabulary and ranked merges.

    Raises:
        ValueError: The vocabulary lacks what LLaMA's has.
    """
    missing = [piece for piece in (*SPECIALS, SPACE, "<0x00>", "<0xFF>") if piece not in vocab]
    if missing:
        raise ValueError(f"its vocabulary of {len(vocab)} pieces lacks {', '.join(missing)}")
    inner = next((piece for piece in vocab if SPACE in piece.lstrip(SPACE)), None)
    if inner is not None:
        # conversation.py cuts text at spaces and encodes the parts apart; a piece that goes across
        # forbids that
        raise ValueError(f"its piece {inner!r} has a space after another character")
    bpe = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token=UNK, fuse_unk=True, byte_fallback=True))
    bpe.normalizer = normalizers.Replace(" ", SPACE)
    bpe.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in SPECIALS])
    return LlamaTokenizer(bpe, bos_id=vocab[BOS], eos_id=vocab[EOS], unk_id=vocab[UNK])


def _byte_of(piece: str) -> int | None:
    """The value of a byte piece such as `<0x0A>`, None of any other."""
    match = re.fullmatch(r"<0x([0-9A-F]{2})>", piece)
    return int(match[1], 16) if match else None
