"""LLaMA's tokenizer without sentencepiece: what it reads, what it gives, what it refuses."""

import json
import pickle
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_gpt4v_builder import load_tokenizer
from rs_gpt4v_builder.errors import TokenizerError
from rs_gpt4v_builder.text.tokenizer import LlamaTokenizer, _spaces_last, byte_tokenizer
from shared import shared
from tiny_tokenizer import LETTERS, NORMAL, SPACE, USER_DEFINED, field, tiny_json, tiny_model, tiny_pieces

ROOT = Path(__file__).resolve().parents[1]
PARTS = [*LETTERS, " ", "  ", " the", "USER", "AS", "SIST", "in", "\n", "ü", "🛰", "<"]
TEXT = st.lists(st.sampled_from(PARTS), max_size=30).map("".join)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LlamaTokenizer:
    path = tmp_path_factory.mktemp("tiny") / "tokenizer.model"
    path.write_bytes(tiny_model())
    return load_tokenizer(path)


def pieces_of(tokenizer: LlamaTokenizer, text: str, **options: bool) -> list[str | None]:
    return [tokenizer.bpe.id_to_token(number) for number in tokenizer.encode(text, **options)]


def slow_bpe(text: str) -> list[int]:
    """Sentencepiece's algorithm at its plainest: join the neighbours of the highest score, leftmost first."""
    pieces = tiny_pieces()
    ids = {text: number for number, (text, _, _) in enumerate(pieces)}
    score = {text: value for text, value, kind in pieces if kind == NORMAL}
    parts = list(text.replace(" ", SPACE))
    while True:
        joined = [(-score[a + b], n) for n, (a, b) in enumerate(pairwise(parts)) if a + b in score]
        if not joined:
            break
        at = min(joined)[1]
        parts[at : at + 2] = ["".join(parts[at : at + 2])]
    return [i for part in parts for i in ([ids[part]] if part in ids else [3 + octet for octet in part.encode()])]


@given(text=TEXT)
def test_ids_are_those_of_the_plain_algorithm(tiny: LlamaTokenizer, text: str) -> None:
    assert tiny.encode(text, prefix=False) == slow_bpe(text)
    assert tiny.encode(text, prefix=True) == (slow_bpe(" " + text) if text else [])


@pytest.mark.parametrize("count", range(1, 40))
def test_runs_of_spaces_are_joined_from_the_left(tiny: LlamaTokenizer, count: int) -> None:
    assert tiny.encode("a" + " " * count + "b", prefix=False) == slow_bpe("a" + " " * count + "b")


@given(text=TEXT)
def test_ids_are_those_of_sentencepiece(tiny: LlamaTokenizer, text: str) -> None:
    sentencepiece = pytest.importorskip("sentencepiece", reason="only for comparing")
    global _PEER
    _PEER = _PEER or sentencepiece.SentencePieceProcessor(model_proto=tiny_model())
    assert tiny.encode(text, prefix=True) == _PEER.encode(text)


_PEER = None


@given(text=TEXT)
def test_decoding_gives_the_text_back(tiny: LlamaTokenizer, text: str) -> None:
    for tokenizer in (tiny, byte_tokenizer()):
        assert tokenizer.decode(tokenizer.encode(text, prefix=False)) == text.replace(SPACE, " ")


def test_a_prefix_goes_before_text_and_nothing_else(tiny: LlamaTokenizer) -> None:
    assert pieces_of(tiny, "USER", prefix=True) == ["▁US", "ER"]
    assert pieces_of(tiny, "USER", prefix=False) == ["USER"]
    assert pieces_of(tiny, " a", prefix=True) == ["▁▁", "a"] or pieces_of(tiny, " a", prefix=True) == ["▁", "▁a"]
    assert tiny.encode("", prefix=True) == []
    assert tiny.encode("</s>", prefix=True) == [2]
    assert pieces_of(tiny, "</s>USER", prefix=True) == ["</s>", "USER"]
    assert tiny.encode("<unk><s></s>", prefix=True, legacy=True) == [0, 1, 2]


def test_legacy_puts_a_prefix_behind_every_special_token_that_text_follows(tiny: LlamaTokenizer) -> None:
    assert pieces_of(tiny, "</s>USER", prefix=True, legacy=True) == ["</s>", "▁US", "ER"]
    assert pieces_of(tiny, "a</s>\nb<s></s>", prefix=False, legacy=True) == [
        "a", "</s>", "▁", "<0x0A>", "b", "<s>", "</s>",
    ]  # fmt: skip


def test_a_batch_is_one_after_the_other(tiny: LlamaTokenizer) -> None:
    texts = ["", "a", "the USER", "</s>USER"]
    for legacy in (False, True):
        each = [tiny.encode(text, prefix=True, legacy=legacy) for text in texts]
        assert tiny.encode_batch(texts, prefix=True, legacy=legacy) == each


def test_the_stand_in_has_bytes_only() -> None:
    tokenizer = byte_tokenizer()
    assert (tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (0, 1, 2, 0)
    assert tokenizer.vocab_size == 260
    assert tokenizer.encode("é a</s>", prefix=True) == [259, 3 + 0xC3, 3 + 0xA9, 259, 3 + ord("a"), 2]


def test_a_pickled_tokenizer_is_the_same(tiny: LlamaTokenizer) -> None:
    again = pickle.loads(pickle.dumps(tiny))
    assert again.encode("the USER é</s>on", prefix=True) == tiny.encode("the USER é</s>on", prefix=True)
    assert again.eos_id == tiny.eos_id


@pytest.mark.parametrize("options", [{}, {"strings": True}, {"spaces_first": True}], ids=str)
def test_a_json_gives_the_same_ids_whatever_its_converter_added(
    tiny: LlamaTokenizer, tmp_path: Path, options: dict[str, bool]
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(tiny_json(**options))
    tokenizer = load_tokenizer(path)
    for text in ("the USER", " two  spaces", "     five", "  the USER", "   a", "<image> is text", "é</s>飞 🛰"):
        for prefix in (False, True):
            assert tokenizer.encode(text, prefix=prefix) == tiny.encode(text, prefix=prefix)


INTERLEAVED = [("▁", "▁"), ("▁", "t"), ("e", "r"), ("▁", "▁▁▁"), ("▁▁", "▁▁"), ("t", "h"), ("▁", "th")]


def test_runs_of_spaces_among_llamas_merges_are_ranked_last() -> None:
    vocab = {"▁▁": 259, "▁t": 260, "er": 261, "▁th": 266, "▁▁▁▁": 268, "▁▁▁": 1678, "▁": 29871}
    ranked = _spaces_last(INTERLEAVED, vocab)
    words = [("▁", "t"), ("e", "r"), ("t", "h"), ("▁", "th")]
    assert ranked == [*words, ("▁", "▁"), ("▁▁", "▁▁"), ("▁", "▁▁▁")]


def test_runs_of_spaces_stay_where_another_model_learnt_them() -> None:
    assert _spaces_last(INTERLEAVED, {"▁▁": 259, "▁t": 261, "er": 260, "▁▁▁▁": 268}) == INTERLEAVED


def test_of_a_folder_the_sentencepiece_model_is_taken_first(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(tiny_json())
    assert load_tokenizer(tmp_path).vocab_size == len(tiny_pieces())
    (tmp_path / "tokenizer.model").write_bytes(tiny_model([*tiny_pieces(), ("Z", -99.0, NORMAL)]))
    assert load_tokenizer(str(tmp_path)).vocab_size == len(tiny_pieces()) + 1


BAD_FILES = {
    "no file": (None, r"does not exist: expected LLaMA's sentencepiece"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer.*git lfs pull"),
    "empty": (b"", "it holds no pieces"),
    "prose": (b"hello, this is no model", "no LLaMA tokenizer"),
    "noise": (bytes([0xFF] * 40), "no number ends at byte"),
    "half": (tiny_model()[:-70], "no LLaMA tokenizer"),
    "number for a piece": (b"\x08\x01", "a number stands where"),
    "text for a type": (field(1, field(3, b"x")), "stands where a number is expected"),
    "unigram": (tiny_model(model_type=1), "its model type is 1, not 2, BPE"),
    "normalizes": (tiny_model(squeeze=True), "rewrites the text"),
    "user-defined": (tiny_model([*tiny_pieces(), ("<x>", 0.0, USER_DEFINED)]), "pieces of type 4"),
    "across a space": (tiny_model([*tiny_pieces(), ("of▁the", -90.0, NORMAL)]), "'of▁the' has a space after"),
    "no bytes": (tiny_model([piece for piece in tiny_pieces() if "<0x" not in piece[0]]), r"lacks <0x00>, <0xFF>"),
    "no space": (tiny_model([piece for piece in tiny_pieces() if piece[0] != SPACE]), "lacks ▁"),
    "no JSON": (b'{"model": ', "Expecting value"),
    "other JSON": (b'{"a": 1}', "JSON without a tokenizer's `model`"),
    "JSON unigram": (b'{"model": {"type": "Unigram", "vocab": [["a", 1]]}}', "its model is 'Unigram', not 'BPE'"),
    "odd merge": (b'{"model": {"vocab": {"a": 0}, "merges": ["a"]}}', "'a' is not made of two"),
    "merge of nothing": (b'{"model": {"vocab": {"a": 0}, "merges": ["a b"]}}', "lacks a piece of the merge 'a' 'b'"),
    "GPT-2's": (json.dumps({"model": {"vocab": {"Ġ": 0}, "merges": []}}).encode(), "lacks <unk>, <s>"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_no_llama_tokenizer_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    data, message = BAD_FILES[name]
    path = tmp_path / "tokenizer.model"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(TokenizerError, match=message) as caught:
        load_tokenizer(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"holds neither tokenizer\.model nor tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_a_tilde_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokenizer.model").write_bytes(tiny_model())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_tokenizer("~/tokenizer.model").pad_id == load_tokenizer(tmp_path).pad_id


def test_an_id_outside_the_vocabulary_has_no_text() -> None:
    with pytest.raises(ValueError, match="id -200 is not in the vocabulary of 260 ids"):
        byte_tokenizer().decode([-200])


def test_the_package_and_its_tokenizer_need_no_torch() -> None:
    code = (
        "import sys, rs_gpt4v_builder as b; assert 'tokenizers' not in sys.modules;"
        "b.load_tokenizer; print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT / "builder")},
    )  # fmt: skip
    assert done.stdout.strip() == "False"


def test_a_missing_library_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import rs_gpt4v_builder

    monkeypatch.delitem(sys.modules, "rs_gpt4v_builder.batch.collate", raising=False)
    monkeypatch.setitem(sys.modules, "rs_gpt4v_builder.batch.collate", None)
    with pytest.raises(ModuleNotFoundError, match=r"rs_gpt4v_builder.batch.collate"):
        _ = rs_gpt4v_builder.LlavaCollator
    monkeypatch.delitem(sys.modules, "rs_gpt4v_builder.batch.collate")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs torch.*pip install 'rs-gpt4v\[torch\]'"):
        _ = rs_gpt4v_builder.LlavaCollator
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = rs_gpt4v_builder.Nothing


@pytest.fixture(scope="module")
def llama() -> LlamaTokenizer:
    return load_tokenizer(shared("tokenizer"))


def test_llama_gives_the_ids_that_everybody_knows(llama: LlamaTokenizer) -> None:
    assert llama.vocab_size == 32000
    assert llama.encode("USER:", prefix=True) == [3148, 1001, 29901]
    assert llama.encode("ASSISTANT:", prefix=True) == [319, 1799, 9047, 13566, 29901]
    assert llama.encode("</s>USER", prefix=True) == [2, 11889]
    assert llama.encode("</s>USER", prefix=True, legacy=True) == [2, 3148, 1001]
    assert llama.encode("\n", prefix=True) == [29871, 13]


@given(text=st.text(max_size=60).filter(lambda text: "<" not in text))
def test_llama_agrees_with_sentencepiece(llama: LlamaTokenizer, text: str) -> None:
    sentencepiece = pytest.importorskip("sentencepiece", reason="only for comparing")
    global _LLAMA_PEER
    if _LLAMA_PEER is None:
        path = shared("tokenizer", "tokenizer.model")
        _LLAMA_PEER = sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert llama.encode(text, prefix=True) == _LLAMA_PEER.encode(text)


_LLAMA_PEER = None
