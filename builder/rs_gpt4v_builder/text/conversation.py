"""Turns of a conversation -> ids, and the spans of them that are learnt, in one pass.

The prompts and the ids are those of LLaVA's training code (haotian-liu/LLaVA at c121f04:
llava/conversation.py, `preprocess_multimodal`, `preprocess_v1`, `preprocess_plain` in
llava/train/train.py, `tokenizer_image_token` in llava/mm_utils.py). The original finds the answers
by tokenizing every round again and counting; here the text is cut where an answer begins and ends,
and the parts are tokenized once. Both cuts are safe: one is before a space, and no piece of LLaMA's
vocabulary has a space behind another character; the other is at `</s>`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rs_gpt4v_builder.errors import OptionError, RowError
from rs_gpt4v_builder.text.tokenizer import BOS, EOS, UNK, LlamaTokenizer
from rs_gpt4v_builder.text.turns import GPT, HUMAN, IMAGE_TAG, Turn

IMAGE_ID = -200
"""Stands in the ids where the image's features go (`IMAGE_TOKEN_INDEX` of LLaVA)."""

IGNORE = -100
"""Label of what is not learnt (`IGNORE_INDEX` of LLaVA and of torch)."""


class Segment(NamedTuple):
    """A stretch of prompt text.

    Attributes:
        text: The text; may hold image tags.
        learn: Whether the model learns to write it.
        eos: Whether `</s>` follows; it is learnt if the text is.
    """

    text: str
    learn: bool = False
    eos: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """How turns become a prompt.

    Attributes:
        name: What users call it.
        head: Text at the very beginning. What follows it begins with a space.
        render: Turns to the segments behind the head. The flag tells whether they follow the head;
            else they go on behind another dialogue's last `</s>`.
        mark: What separates a question from its answer; the original code splits rounds at it.
        bare: Whether a round begins with text, which alone gets a dummy prefix that it has not
            behind `</s>`; else it begins with `<s>`.
        single: Whether a conversation is exactly one question and its answer, with an image.
    """

    name: str
    head: str
    render: Callable[[Sequence[Turn], bool], list[Segment]]
    mark: str = ""
    bare: bool = False
    single: bool = False


@dataclass(frozen=True, slots=True)
class Encoded:
    """Ids of a conversation and the half-open spans of them that are learnt, in order."""

    ids: list[int]
    spans: list[tuple[int, int]]

    @classmethod
    def join(cls, parts: Iterable["Encoded"]) -> "Encoded":
        """Return the parts as one, each behind the other."""
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        for part in parts:
            shift = len(ids)
            ids += part.ids
            spans += [(start + shift, end + shift) for start, end in part.spans]
        return cls(ids, spans)

    def cut(self, length: int) -> "Encoded":
        """Return the first `length` ids."""
        spans = [(start, min(end, length)) for start, end in self.spans if start < length]
        return Encoded(self.ids[:length], spans)


_REMEMBERED_LENGTH, _REMEMBERED_TEXTS = 256, 1 << 13
"""Longest text whose ids are kept, and how many of them: questions made by template and short answers come again."""


class Encoder:
    """Encodes turns with one template and one tokenizer. Can be pickled and used by several threads.

    Args:
        template: The prompt's form.
        tokenizer: LLaMA's tokenizer.
        legacy: Whether text behind a special token gets a dummy prefix (`legacy=True` of
            transformers).
        apart: Whether the image parts the text into chunks that are tokenized each by itself, as
            LLaVA's code does, so that text behind it gets the dummy prefix. Else the image is a
            special token like any other, as in transformers.
    """

    def __init__(self, template: Template, tokenizer: LlamaTokenizer, *, legacy: bool, apart: bool = True) -> None:
        self.template, self.tokenizer, self.legacy = template, tokenizer, legacy
        self._behind_image = apart or legacy
        self._seen: dict[tuple[str, bool], list[int]] = {}
        # the system sentence is the same in every sample, so it is tokenized once
        self._head = [tokenizer.bos_id, *tokenizer.encode(template.head, prefix=True, legacy=legacy)]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was remembered: a worker process remembers its own."""
        return self.__dict__ | {"_seen": {}}

    def encode(self, turns: Sequence[Turn], *, has_image: bool, first: bool = True) -> Encoded:
        """Encode turns that went through `prepare_turns`.

        Args:
            turns: The turns, human and gpt alternating.
            has_image: Whether `<image>` in the text is the place of the image; else it is text like
                any other.
            first: Whether `<s>` and the template's head go before them. The encodings of several
                dialogues, all but the first without it, join to the encoding of all their turns,
                where each ends with an answer.
        """
        ids = list(self._head) if first else []
        spans = []
        # behind the head the text goes on; else it stands behind <s>, which begins a chunk, or </s>
        prefix = not self.template.head if first else self.legacy
        for text, learn, eos in self.template.render(turns, first):
            start = len(ids)
            prefix = self._put(ids, text, prefix, has_image)
            if eos:
                ids.append(self.tokenizer.eos_id)
                prefix = self.legacy
            if learn:
                spans.append((start, len(ids)))
        return Encoded(ids, spans)

    def length(self, text: str, *, has_image: bool) -> int:
        """Return the number of ids of a text tokenized by itself, with `<s>`; an image is one."""
        ids = [self.tokenizer.bos_id]
        self._put(ids, text, True, has_image)
        return len(ids)

    def prompt(self, turns: Sequence[Turn]) -> str:
        """Return the whole prompt as text, as the original code builds it."""
        parts = (part.text + EOS * part.eos for part in self.template.render(turns, True))
        return self.template.head + "".join(parts)

    def _put(self, ids: list[int], text: str, prefix: bool, has_image: bool) -> bool:
        """Append the ids of a text; return whether text behind it gets the dummy prefix.

        Where the image parts the text, what follows it is a chunk of its own, hence `▁`, newline
        (29871, 13) behind the image.
        """
        if not (has_image and IMAGE_TAG in text):
            ids += self._ids(text, prefix)
            return prefix and not text
        for number, chunk in enumerate(text.split(IMAGE_TAG)):
            if number:
                ids.append(IMAGE_ID)
                prefix = self._behind_image
            if chunk:
                ids += self._ids(chunk, prefix)
                prefix = False
        return prefix

    def _ids(self, text: str, prefix: bool) -> list[int]:
        """Ids of a text, remembered if it is short."""
        key = text, prefix
        ids = self._seen.get(key)
        if ids is None:
            ids = self.tokenizer.encode(text, prefix=prefix, legacy=self.legacy)
            if len(text) <= _REMEMBERED_LENGTH:
                if len(self._seen) >= _REMEMBERED_TEXTS:
                    self._seen.clear()
                self._seen[key] = ids
        return ids


V1_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
LLAMA_2_SYSTEM = (
    "You are a helpful language and vision assistant. "
    "You are able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
)
# the cut between what is tokenized once and what goes on with the first question is before a space
_LLAMA_2_HEAD, _, _LLAMA_2_REST = f"[INST] <<SYS>>\n{LLAMA_2_SYSTEM}\n<</SYS>>\n\n".rpartition(" ")


def _render_v1(turns: Sequence[Turn], first: bool) -> list[Segment]:
    """`USER: q ASSISTANT: a</s>USER: ...`; an empty message loses its spaces and its `</s>`."""
    segments = []
    text = " " if first else ""
    for turn in turns:
        if turn.role == HUMAN:
            text += f"USER: {turn.value} " if turn.value else "USER:"
            continue
        text += "ASSISTANT:"
        if turn.value:
            segments += [Segment(text), Segment(f" {turn.value}", learn=True, eos=True)]
            text = ""
    return [*segments, Segment(text)] if text else segments


def _render_llama_2(turns: Sequence[Turn], first: bool) -> list[Segment]:
    """`[INST] q [/INST] a </s><s>[INST] q ...`; an empty message disappears with all around it."""
    segments = []
    text = f" {_LLAMA_2_REST}" if first else ""
    for number, turn in enumerate(turns):
        if not turn.value:
            continue
        if turn.role == HUMAN:
            text += f"{turn.value} [/INST]" if first and number == 0 else f"{BOS}[INST] {turn.value} [/INST]"
            continue
        segments += [Segment(text), Segment(f" {turn.value} ", learn=True, eos=True)]
        text = ""
    return [*segments, Segment(text)] if text else segments


def _render_plain(turns: Sequence[Turn], first: bool) -> list[Segment]:
    """`<image>caption` and a newline: the question is not used."""
    return [Segment(IMAGE_TAG), Segment(f"{turns[1].value}\n", learn=True)]


V1 = Template("v1", V1_SYSTEM, _render_v1, mark=" ASSISTANT: ", bare=True)
LLAMA_2 = Template("llama_2", _LLAMA_2_HEAD, _render_llama_2, mark="[/INST] ")
PLAIN = Template("plain", "", _render_plain, single=True)
TEMPLATES = {template.name: template for template in (V1, PLAIN, LLAMA_2)}
"""`v1` is what LLaVA-1.5 is tuned with, `plain` what its projector is trained with before. `llama_2` is that of LLaVA
on Llama 2 chat (`conv_llava_llama_2` of the original)."""


def find_template(name: str) -> Template:
    """Return a template by its name.

    Raises:
        OptionError: There is none of that name; the message lists the known ones.
    """
    if name not in TEMPLATES:
        raise OptionError.unknown("template", name, TEMPLATES)
    return TEMPLATES[name]


def prepare_turns(turns: Sequence[Turn], template: Template, *, has_image: bool, row: str) -> list[Turn]:
    """Rewrite turns as the original does before it encodes them.

    Args:
        turns: The turns as they stand in the row.
        template: The template they will be encoded with.
        has_image: Whether the row has an image. Then the image tags of a turn become one at its
            head.
        row: The row's id for messages.

    Returns:
        The turns; a first turn of `gpt` is left out, as in the original.

    Raises:
        RowError: The original would stop with an error, too: no turns, the same speaker twice.
    """
    ready = [_tagged_first(turn) for turn in turns] if has_image else [*turns]
    if template.single:
        _check_single(ready, template, has_image, row)
        return ready
    if ready and ready[0].role == GPT:
        ready = ready[1:]
    if not ready:
        expected = "a human turn and its answer"
        raise RowError.of(row, "no turns", expected, "leave the row out or mend it")
    for number, turn in enumerate(ready):
        if turn.role != (HUMAN, GPT)[number % 2]:
            found, expected = f"two {turn.role} turns in a row", "human and gpt in turn"
            raise RowError.of(row, found, expected, "join or remove one of them")
    if template is LLAMA_2 and not ready[0].value:
        expected = "a question, as the template 'llama_2' needs in the first turn"
        raise RowError.of(row, "an empty first turn", expected, "fill it in or leave the row out")
    return ready


def tag_first(text: str) -> str:
    """Move the image tags of a turn to its head as one; leave a turn without tag as it is."""
    if IMAGE_TAG not in text:
        return text
    return f"{IMAGE_TAG}\n{text.replace(IMAGE_TAG, '').strip()}".strip()


def _tagged_first(turn: Turn) -> Turn:
    return Turn(turn.role, tag_first(turn.value)) if IMAGE_TAG in turn.value else turn


WELL_FORMED = "questions and answers in turn, none empty and none with the prompt's own marks"
MEND = "mend or remove it, or use strict=True to learn nothing of it as the original does"


def first_fault(turns: Sequence[Turn], template: Template) -> str:
    """Say what in the turns misleads the original's search for answers, or nothing: an empty string.

    A literal `<s>` is no fault: the original's counts come out right with it.
    """
    if template.single:
        return "" if turns[1].value else "an empty answer"
    for number, (role, value) in enumerate(turns, 1):
        fault = _fault_of(value, template.mark)
        if fault:
            return f"turn {number} ({role}) {fault}"
    if turns[-1].role == HUMAN:
        return "a last turn of the human, without an answer"
    return ""


def _fault_of(value: str, mark: str) -> str:
    if not value:
        return "that is empty"
    if "<" in value:
        for literal in (EOS, UNK):
            if literal in value:
                return f"with a literal `{literal}`, a special token"
    if mark in f" {value} ":
        return f"with a literal `{mark.strip()}`, the mark of an answer"
    return ""


def _check_single(turns: list[Turn], template: Template, has_image: bool, row: str) -> None:
    if [turn.role for turn in turns] != [HUMAN, GPT]:
        found = f"{len(turns)} turns"
    elif not has_image or IMAGE_TAG not in turns[0].value:
        found = "no image in the question"
    else:
        return
    expected = f"a question with an image and one answer, as the template {template.name!r} needs"
    raise RowError.of(row, found, expected, "use template='v1'")
