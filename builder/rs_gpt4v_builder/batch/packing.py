"""Many independent dialogues of one image behind one image: one sequence, one prefix, a block mask.

Dialogues of a row begin alike: system text, image, often the first words of a question. Here that
beginning is put down once, and the rest of each dialogue behind it. A token sees the beginning and
what precedes it in its own dialogue, nothing else, and its position counts on from the beginning,
so that to the model each dialogue is what it would be in a sequence of its own: the loss and the
gradients are the same but for rounding.

Which token belongs to what is said by one vector a sequence, the document ids: 0 for the beginning,
n for the row's n-th dialogue (from 1), -1 for padding. Positions and masks follow from it.

Only for `form="hf"`: the original LLaVA code (`prepare_inputs_labels_for_multimodal` in
llava/model/llava_arch.py) indexes the ids with the mask, which must have two dimensions for that,
and makes mask and positions anew, plain ones, while it puts the image's features in.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from rs_gpt4v_builder.errors import OptionError
from rs_gpt4v_builder.text.conversation import IGNORE, Template

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

SHARED_IMAGE = "shared-image"
"""Value of the collator's `packing`."""

ATTENTIONS = ("eager", "sdpa", "flex_attention")
"""Values of `attn_implementation` of transformers that can take a mask by blocks."""

PREFIX, PADDING = 0, -1
"""Document ids of what all dialogues share, and of what is no token."""

Ids = npt.NDArray[np.int64]


class Packed(NamedTuple):
    """A sequence or a part of one.

    Attributes:
        input_ids: (L,) int64.
        labels: (L,) int64, `IGNORE` where nothing is learnt.
        documents: (L,) int64, the document ids.
    """

    input_ids: Ids
    labels: Ids
    documents: Ids


def check_packing(template: Template, form: str, pairs: str, attention: str | None) -> str:
    """Refuse options of the collator that do not go with packing; return `attention`.

    Raises:
        OptionError: One of them does not.
    """
    name = f"packing={SHARED_IMAGE!r}"
    if form != "hf":
        raise OptionError(
            f"{name} with form={form!r}: LLaVA's own model makes masks and positions anew, without those "
            "of packed dialogues; use form='hf', with LlavaForConditionalGeneration of transformers"
        )
    if pairs != "fit":
        raise OptionError(f"{name} with pairs={pairs!r}: packing shows all dialogues of a row; leave `pairs` out")
    if template.single:
        raise OptionError(f"{name} with template={template.name!r}: it has nothing to pack; use template='v1'")
    if attention is None:  # the one mask that is right under SDPA as well
        return "eager"
    if attention not in ATTENTIONS:
        raise OptionError.unknown("attention", attention, ATTENTIONS)
    return attention


def pack(dialogues: Sequence[tuple[Ids, Ids]], max_length: int) -> list[Packed]:
    """Put the dialogues of a row into as few sequences as take them in order, evenly filled.

    The part behind the shared beginning has at least one token that is not learnt before its
    answers: models shift the labels by one, and the first token of a part is predicted from another
    dialogue.

    Args:
        dialogues: Ids and labels, (L,) int64 each, of each dialogue encoded alone. None begins with
            a token that is learnt.
        max_length: Most tokens of a sequence. One dialogue that is longer has a sequence of its
            own, which is too long.

    Returns:
        The sequences, each of which begins with what all dialogues share.
    """
    shared = _shared_length(dialogues)
    ids, labels = dialogues[0]
    prefix = _part(ids[:shared], labels[:shared], PREFIX)
    parts = [_part(ids[shared:], labels[shared:], number) for number, (ids, labels) in enumerate(dialogues, 1)]
    cuts = _even_cuts([len(part.input_ids) for part in parts], max_length - shared)
    return [_join([prefix, *parts[start:stop]]) for start, stop in pairwise(cuts)]


def position_ids(document_ids: torch.Tensor) -> torch.Tensor:
    """Count the positions: every dialogue goes on from the shared beginning.

    Args:
        document_ids: (B, L), any kind of integer.

    Returns:
        (B, L) int64, 0 at padding.
    """
    index = torch.arange(document_ids.shape[1], device=document_ids.device)
    begins = torch.zeros_like(document_ids, dtype=torch.bool)
    begins[:, 1:] = document_ids[:, 1:] != document_ids[:, :-1]
    since = index - (index * begins).cummax(1).values
    shared = (document_ids == PREFIX).sum(1, keepdim=True)
    return (since + shared * (document_ids > PREFIX)).masked_fill(document_ids == PADDING, 0)


def attention_mask(document_ids: torch.Tensor, attention: str) -> "torch.Tensor | BlockMask":
    """Make the mask by which each dialogue sees the shared beginning and itself, causally.

    A row of padding sees the beginning, too, and the padding before it: no row is empty, of which
    softmax would make NaN. Nothing but padding sees padding.

    Args:
        document_ids: (B, L), any kind of integer. On a GPU the mask is made there, which saves
            moving it.
        attention: The model's `attn_implementation`: a mask of another kind is either refused by
            the model or wrong without a word (eager attention would add True as 1).

    Returns:
        `eager`: (B, 1, L, L) float32, 0 or -inf, to be added. Right under SDPA, too, but there only
            in the model's dtype: some kernels refuse another one, and torch 2.13 on a CPU computes
            nonsense of float32 beside float64.
        `sdpa`: (B, 1, L, L) bool, True where there is attention; for nothing but SDPA.
        `flex_attention`: the `BlockMask` of torch's `create_block_mask`.

    Raises:
        OptionError: `attention` is not known.
    """
    if attention == "flex_attention":
        return _block_mask(document_ids)
    if attention not in ATTENTIONS:
        raise OptionError.unknown("attention", attention, ATTENTIONS)
    return _dense_mask(document_ids, attention)


def batch_columns(documents: Sequence[Ids], rows: Sequence[int], attention: str) -> dict[str, torch.Tensor]:
    """Make what a packed batch has in the place of the usual attention mask.

    Args:
        documents: Document ids of each sequence.
        rows: Number of the row that each sequence is from.
        attention: The model's `attn_implementation`.

    Returns:
        `position_ids` and `attention_mask`; for flex attention `document_ids` and `row_numbers` in
        the place of the mask: a `BlockMask` cannot come from a `DataLoader`'s worker, and one that
        is moved to a device leaves the vector that it looks at behind.
    """
    document_ids = _stack(documents)
    columns = {"position_ids": position_ids(document_ids)}
    if attention == "flex_attention":
        return columns | {"document_ids": document_ids, "row_numbers": torch.tensor(rows)}
    return columns | {"attention_mask": _dense_mask(document_ids, attention)}


def _stack(sequences: Sequence[Ids]) -> torch.Tensor:
    """Return the document ids of a batch, (B, L) int64, padded on the right."""
    stack = np.full((len(sequences), max(map(len, sequences))), PADDING, np.int64)
    for place, documents in zip(stack, sequences, strict=True):
        place[: len(documents)] = documents
    return torch.from_numpy(stack)


def _dense_mask(document_ids: torch.Tensor, attention: str) -> torch.Tensor:
    key, query = document_ids[:, None, None, :], document_ids[:, None, :, None]
    sees = ((key == query) | (key == PREFIX)).tril_()
    if attention == "sdpa":
        return sees
    return torch.where(sees, torch.zeros((), dtype=torch.float32, device=sees.device), float("-inf"))


def _block_mask(document_ids: torch.Tensor) -> "BlockMask":
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(batch: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        document = document_ids[batch, key]
        return (key <= query) & ((document == PREFIX) | (document == document_ids[batch, query]))

    count, length = document_ids.shape
    return create_block_mask(sees, count, None, length, length, device=document_ids.device)


def _shared_length(dialogues: Sequence[tuple[Ids, Ids]]) -> int:
    """Number of tokens that all dialogues begin with, none of them the last one before an answer."""
    first = dialogues[0][0]
    return min(min(_common(first, ids), _first_learnt(labels) - 1) for ids, labels in dialogues)


def _common(one: Ids, other: Ids) -> int:
    length = min(len(one), len(other))
    return _first(one[:length] != other[:length])


def _first_learnt(labels: Ids) -> int:
    return _first(labels != IGNORE)


def _first(flags: npt.NDArray[np.bool_]) -> int:
    """Place of the first True, or the length where there is none."""
    return int(flags.argmax()) if flags.any() else len(flags)


def _even_cuts(lengths: Sequence[int], room: int) -> list[int]:
    """Cut a list of parts into as few runs as have room, with the longest run as short as may be.

    So a row of two sequences does not fill one and leave the other half empty, which in a batch
    would be padding.

    Returns:
        The numbers of the parts at which runs begin, and how many parts there are.
    """
    fewest = len(_cuts(lengths, room))
    least = bisect_left(range(max(0, room)), True, key=lambda size: len(_cuts(lengths, size)) <= fewest)
    return _cuts(lengths, least)


def _cuts(lengths: Sequence[int], room: int) -> list[int]:
    cuts, used = [0], 0
    for number, length in enumerate(lengths):
        if used and used + length > room:
            cuts.append(number)
            used = 0
        used += length
    return [*cuts, len(lengths)]


def _part(input_ids: Ids, labels: Ids, document: int) -> Packed:
    return Packed(input_ids, labels, np.full(len(input_ids), document, np.int64))


def _join(parts: Sequence[Packed]) -> Packed:
    return Packed(*map(np.concatenate, zip(*parts, strict=True)))
