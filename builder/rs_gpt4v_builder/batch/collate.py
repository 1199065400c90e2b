"""Rows of a release -> one padded batch of tensors, as LLaVA-1.5 trains on them.

The batch of `form="llava"` is that of `DataCollatorForSupervisedDataset` in haotian-liu/LLaVA
(llava/train/train.py), except that the attention mask follows from lengths: the original's
`ids != pad` also hides a literal `<unk>` in the middle of a text. That of `form="hf"` fits
`LlavaForConditionalGeneration` of transformers.
"""

import logging
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from rs_gpt4v_builder.batch.packing import SHARED_IMAGE, batch_columns, check_packing, pack
from rs_gpt4v_builder.errors import OptionError, RowError
from rs_gpt4v_builder.pixels.decode import FILL_IN
from rs_gpt4v_builder.pixels.images import ASPECTS, RESIZES, CpuImager, Imager
from rs_gpt4v_builder.text.conversation import (
    IGNORE,
    IMAGE_ID,
    MEND,
    WELL_FORMED,
    Encoded,
    Encoder,
    find_template,
    first_fault,
    prepare_turns,
)
from rs_gpt4v_builder.text.dialogues import FEATURES, Dialogue, RowText, has_tag, one_of, read_text, row_name, sheets
from rs_gpt4v_builder.text.masking import mask_as_original
from rs_gpt4v_builder.text.tokenizer import LlamaTokenizer
from rs_gpt4v_builder.text.turns import IMAGE_TAG, Turn, parse_turns

HF_IMAGE_ID, HF_PAD_ID = 32000, 32001
"""`<image>` and `<pad>` in the vocabulary of the llava-1.5-hf checkpoints."""

_KNOWN: dict[str, tuple[object, ...]] = {
    "form": ("llava", "hf"),
    "pixels": ("float32", "uint8"),
    "aspect": ASPECTS,
    "resize": RESIZES,
    "pairs": ("fit", "one"),
    "packing": (None, SHARED_IMAGE),
    "on_error": ("raise", "skip"),
}

Ids = npt.NDArray[np.int64]

_LOG = logging.getLogger(__name__)
_NAMED = 5
"""Skipped rows that the log names one by one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row, or one of its sequences, ready to be padded.

    Attributes:
        input_ids: (L,) int64.
        labels: (L,) int64, `IGNORE` where nothing is learnt.
        pixels: What the imager made of the image, by default (3, 336, 336) uint8; or None where no
            image belongs to the row.
        documents: (L,) int64, which token belongs to which dialogue (see `packing`), or None where
            nothing is packed.
        row: Which of the rows it is from; 0 where nothing is packed.
    """

    input_ids: Ids
    labels: Ids
    pixels: Any
    documents: Ids | None = None
    row: int = 0


class Part(NamedTuple):
    """One dialogue of a sample: its turns as they are tokenized, and their encoding."""

    turns: list[Turn]
    encoded: Encoded


class LlavaCollator:
    """Turns a list of rows into a batch; the `collate_fn` of a stock `DataLoader`. Can be pickled.

    A row is a dict with `conversations` and, where there is an image, `image`: of a release (then
    `pairs` tells which dialogues are independent), or a record of LLaVA's own files with the image
    opened.

    Args:
        tokenizer: What `load_tokenizer` gives.
        form: `llava` puts -200 where the image goes and tokenizes what follows as a text of its
            own, as the original code does; `hf` puts 576 ids 32000 there, names the images
            `pixel_values`, and is equal to what transformers' `LlavaProcessor` makes of the same
            prompt. There the image is a special token like any other, so behind it stands no `▁`:
            `32000, 13` where the original has `-200, 29871, 13`. Each model sees in training what
            it will see when it is used.
        template: `v1` (LLaVA-1.5's tuning), `plain` (its projector's pre-training) or `llama_2`
            (LLaVA on Llama 2 chat). What the original does with malformed samples of it is the
            same, but for an empty first question, at which it stops: that is always an error.
        max_length: Most tokens of a sample, the image's 576 features among them.
        legacy: Whether the tokenizer behaves as `LlamaTokenizer(legacy=True)`; Vicuna 1.5 has
            False.
        strict: Whether a malformed sample is treated as the original code does (which learns
            nothing of most of them, see `masked`); else it is a `RowError`.
        pixels: `float32` normalises, `uint8` leaves 0..255 to those who normalise on the device.
        aspect: `pad` to a square with the mean colour (LLaVA-1.5), or `crop`.
        resize: `fast` differs from PIL's filter by at most one level on less than 1 % of the values;
            `exact` is PIL's.
        pairs: `fit` takes whole dialogues of a row in order while they fit, never two with a
            question in common (so one caption of an image); a single dialogue that is too long is
            cut. `one` takes one dialogue, another one each `epoch`.
        packing: None, or `shared-image`: all dialogues of a row stand behind its image, which is
            there once, and see the image and themselves only. A row that is longer than
            `max_length` becomes several sequences, each with the image. Needs `form="hf"` and
            leaves nothing out. In the strict mode each dialogue is judged by itself.
        attention: The model's `attn_implementation` (`eager`, `sdpa`, `flex_attention`), as each
            takes another mask for `packing`; else not looked at. None gives that of `eager`, which
            is right under SDPA, too, though four times as large as SDPA's own.
        on_error: `raise` stops at a malformed row with an error that names it; `skip` leaves it out
            of its batch, which then has fewer rows, says so in the log and counts it. A batch of
            which nothing is left is an error all the same.

    Attributes:
        epoch: Number of the epoch, which you set; 0 at first. Only `pairs="one"` looks at it. The
            workers of a `DataLoader` have copies of the collator: set it before they start.
        left_out: Pairs of question and answer that `pairs="fit"` left out so far, in this process.
        masked: Rows (with packing: dialogues) that `strict=True` masked whole so far, in this
            process.
        cut: Rows (with packing: dialogues) that were cut at `max_length` so far, in this process.
        skipped: Malformed rows that `on_error="skip"` left out of their batches so far, in this
            process.

    Raises:
        OptionError: An argument has an unknown value.
    """

    def __init__(
        self,
        tokenizer: LlamaTokenizer,
        *,
        form: str = "llava",
        template: str = "v1",
        max_length: int = 2048,
        legacy: bool = False,
        strict: bool = False,
        pixels: str = "float32",
        aspect: str = "pad",
        resize: str = "fast",
        pairs: str = "fit",
        packing: str | None = None,
        attention: str | None = None,
        on_error: str = "raise",
    ) -> None:
        given = {
            "form": form, "pixels": pixels, "aspect": aspect, "resize": resize, "pairs": pairs, "packing": packing,
            "on_error": on_error,
        }  # fmt: skip
        for name, value in given.items():
            if value not in _KNOWN[name]:
                raise OptionError.unknown(name, value, _KNOWN[name])
        if not hasattr(max_length, "__index__") or max_length < 1:
            raise OptionError(f"max_length={max_length!r} is not a number of tokens: use 1 or more")
        if not isinstance(tokenizer, LlamaTokenizer):
            raise OptionError(f"tokenizer={tokenizer!r}: expected what load_tokenizer gives")
        self.template = find_template(template)
        self.form, self.pixels, self.aspect, self.resize, self.pairs = form, pixels, aspect, resize, pairs
        self._imager = CpuImager(aspect, resize, pixels)
        self.max_length, self.legacy, self.strict = max_length, legacy, strict
        self.packing = packing
        self.attention = check_packing(self.template, form, pairs, attention) if packing else None
        self.on_error = on_error
        self.epoch = 0
        self.left_out = self.masked = self.cut = self.skipped = 0
        self._warned = False
        self._lock = threading.Lock()
        # no attribute `tokenizer`: transformers' Trainer would save that as one of its own
        self._encoder = Encoder(self.template, tokenizer, legacy=legacy, apart=form == "llava")

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the lock, which cannot be copied."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy with a lock of its own."""
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def __call__(self, rows: Sequence[Mapping[str, Any]], *, imager: Imager | None = None) -> dict[str, torch.Tensor]:
        """Make a batch.

        Args:
            rows: At least one row.
            imager: What makes the batch's images of those of the rows, in place of the collator's
                own; a `Loader` has one for the device.

        Returns:
            input_ids: (B, L) int64, padded on the right with `<unk>` (`hf`: 32001).
            labels: (B, L) int64, -100 where nothing is learnt.
            attention_mask: (B, L) int64, 1 on each row's own tokens.
            images: (B, 3, 336, 336) float32 normalised, or uint8. A row without image has zeros, as
                in the original: the model takes one image a row, whether or not the text has a
                place for it.
            pixel_values: The same in the form `hf`, but only of rows with a place for their image
                (that model counts the places), and absent where no row has one.

            With `packing` B is the number of sequences, at least one a row, in the order of the
            rows; a sequence of several of one row has the image again. There are also

            position_ids: (B, L) int64, by which each dialogue goes on from the shared beginning.
            attention_mask: (B, 1, L, L), float32 of 0 and -inf for `eager`, bool for `sdpa`; none for
                `flex_attention`, which has
            document_ids: (B, L) int64, 0 for the shared beginning, n for the row's n-th dialogue,
                -1 for padding: `packing.attention_mask` makes the mask of it, on any device.
            row_numbers: (B,) int64, from which of the rows a sequence is.

        Raises:
            RowError: A row cannot be trained on; the message names it. With `on_error="skip"` only
            where no row is left.
            OptionError: There are no rows.
        """
        if not rows:
            raise OptionError("a batch of no rows: give one or more")
        odd = {type(row).__name__ for row in rows if not isinstance(row, Mapping)}
        if odd:
            raise OptionError(f"a batch of {', '.join(sorted(odd))}: expected a list of rows, each a dict")
        imager = imager or self._imager
        samples = self._samples(rows, imager)
        batch = {name: torch.from_numpy(array) for name, array in self._texts(samples).items()}
        if self.attention is not None:
            del batch["attention_mask"]
            documents = [sample.documents for sample in samples if sample.documents is not None]
            batch |= batch_columns(documents, [sample.row for sample in samples], self.attention)
        return batch | self._images(samples, imager)

    def encode(self, conversations: Sequence[Mapping[str, Any]], has_image: bool = True) -> tuple[Ids, Ids]:
        """Encode one conversation as the original code does, without padding.

        It is more lenient than a batch is: what the original trains on passes, even an empty answer
        in the middle, whose question then runs into the next one. As in the original a sample with
        an image is not cut here.

        Args:
            conversations: Turns in LLaVA's form, dicts of `from` and `value`.
            has_image: Whether `<image>` in the text is the place of an image.

        Returns:
            input_ids and labels, (L,) int64 each.

        Raises:
            RowError: The conversation is malformed so that the original learns nothing of it, and
            `strict` is False.
        """
        turns = prepare_turns(parse_turns(conversations, row=""), self.template, has_image=has_image, row="")
        return self._arrays(self._encode(turns, has_image, row=""))

    def _samples(self, rows: Sequence[Mapping[str, Any]], imager: Imager) -> list[Sample]:
        """Make the sample of each row, or of those that can be trained on."""
        samples: list[Sample] = []
        for number, row in enumerate(rows):
            try:
                samples += self._packed(row, number, imager) if self.packing else [self._sample(row, imager)]
            except RowError as error:
                if self.on_error == "raise":
                    raise
                self._skip(error)
                last = error
        if not samples:
            raise RowError(
                f"found {len(rows)} rows of which none can be trained on, expected a batch with something to learn; "
                f"mend the source of the rows. The last of them: {last}",
                row=last.row,
            )
        return samples

    def _texts(self, samples: list[Sample]) -> dict[str, Ids]:
        """Pad the texts to the longest: (B, L) each."""
        longest = max(len(sample.input_ids) for sample in samples)
        pad_id = HF_PAD_ID if self.form == "hf" else self._encoder.tokenizer.pad_id
        shape = len(samples), longest
        input_ids, labels = np.full(shape, pad_id, np.int64), np.full(shape, IGNORE, np.int64)
        mask = np.zeros(shape, np.int64)
        for number, sample in enumerate(samples):
            length = len(sample.input_ids)
            input_ids[number, :length] = sample.input_ids
            labels[number, :length] = sample.labels
            mask[number, :length] = 1
        if self.strict and (labels == IGNORE).all():
            _LOG.warning(
                "a batch of %d malformed rows has nothing to learn: its mean loss is not a number", len(samples)
            )
        return {"input_ids": input_ids, "labels": labels, "attention_mask": mask}

    def _sample(self, row: Mapping[str, Any], imager: Imager) -> Sample:
        name, text, tagged = self._read(row)
        encoded = self._choose(text, row.get("image") is not None, name)
        # the model puts in the features of the image, and then cuts once more
        room = self.max_length - self._features_to_come(encoded)
        input_ids, labels = self._cut(*self._arrays(encoded), room, name)
        return Sample(input_ids, labels, self._pixels(row, tagged, imager))

    def _packed(self, row: Mapping[str, Any], number: int, imager: Imager) -> list[Sample]:
        """Make the sequences of a row whose dialogues share the image."""
        name, text, tagged = self._read(row)
        has_image = row.get("image") is not None
        dialogues = [self._arrays(self._alone(text, dialogue, has_image, name)) for dialogue in text.dialogues]
        sequences = pack(dialogues, self.max_length)
        texts = [self._cut(sequence.input_ids, sequence.labels, self.max_length, name) for sequence in sequences]
        pixels = self._pixels(row, tagged, imager)
        return [
            Sample(input_ids, labels, pixels, sequence.documents[: len(input_ids)], number)
            for (input_ids, labels), sequence in zip(texts, sequences, strict=True)
        ]

    def _read(self, row: Mapping[str, Any]) -> tuple[str, RowText, bool]:
        """Read a row's id and text, and whether that has a place for the image."""
        text = read_text(row)
        tagged = text.tagged or any(has_tag(dialogue.turns) for dialogue in text.dialogues)
        self._check_image(row, tagged)
        return row_name(row), text, tagged

    def _cut(self, input_ids: Ids, labels: Ids, room: int, name: str) -> tuple[Ids, Ids]:
        """Cut a sequence of which `room` ids will be used at `max_length`, and check what is left."""
        if len(input_ids) > room:
            self._count("cut", 1)
            input_ids, labels = input_ids[: self.max_length], labels[: self.max_length]
        self._check_sample(input_ids, labels, max(0, room), name)
        return input_ids, labels

    def _pixels(self, row: Mapping[str, Any], tagged: bool, imager: Imager) -> Any:
        """Let the imager make the pixels of a row, if its sample is to have any."""
        image = row.get("image")
        wanted = image is not None and (self.form == "llava" or tagged)
        return imager.one(image, row_name(row)) if wanted else None

    def _alone(self, text: RowText, dialogue: Dialogue, has_image: bool, name: str) -> Encoded:
        """Encode a dialogue as the only one of a sample."""
        turns, encoded = self._part(text, dialogue, True, has_image, name)
        # only in the strict mode
        return self._encode(turns, has_image, name) if first_fault(turns, self.template) else encoded

    def _check_image(self, row: Mapping[str, Any], tagged: bool) -> None:
        """Refuse a text with a place for an image in a row without one."""
        if not tagged or row.get("image") is not None:
            return
        if "image" in row:
            raise RowError.of(
                row_name(row),
                f"a null image, and `{IMAGE_TAG}` in the text",
                "the image's bytes",
                FILL_IN,
            )
        if not self.strict:  # the original takes the tag for plain text
            expected = "the column `image`"
            found = f"`{IMAGE_TAG}` in the text of a row that has no column `image`"
            raise RowError.of(row_name(row), found, expected, "keep the column, or remove the tag")

    def _choose(self, text: RowText, has_image: bool, name: str) -> Encoded:
        """Encode the dialogues of a row that go into its sample."""
        parts = self._one(text, has_image, name) if self.pairs == "one" else self._fit(text, has_image, name)
        if self.strict:
            # what becomes of a malformed sample follows from the whole of it
            turns = [turn for part in parts for turn in part.turns]
            if first_fault(turns, self.template):
                return self._encode(turns, has_image, name)
        return parts[0].encoded if len(parts) == 1 else Encoded.join(part.encoded for part in parts)

    def _one(self, text: RowText, has_image: bool, name: str) -> list[Part]:
        """Take the one dialogue whose turn it is in this epoch."""
        number = 0
        if len(text.dialogues) > 1:
            if not name:
                do = "keep the column `id`, or use pairs='fit'"
                raise RowError.of(name, "no `id`", "one, as pairs='one' chooses by it", do)
            number = one_of(name, self.epoch, len(text.dialogues))
        return [self._part(text, text.dialogues[number], True, has_image, name)]

    def _fit(self, text: RowText, has_image: bool, name: str) -> list[Part]:
        """Take the row's first sheet: dialogues in order while they fit, none that asks the same."""
        if len(text.dialogues) == 1:
            return [self._part(text, text.dialogues[0], True, has_image, name)]
        parts: list[Part] = []

        def measure(dialogue: Dialogue, first: bool) -> int:
            parts.append(self._part(text, dialogue, first, has_image, name))
            ids = parts[-1].encoded.ids
            return len(ids) + (FEATURES - 1 if IMAGE_ID in ids else 0)

        if self.template.single:
            measure(text.dialogues[0], True)
        else:
            # what was measured last did not fit if the sheet ends before the row does
            parts = parts[: len(next(sheets(text, self.max_length, measure)))]
        self._count_left_out(sum(one.pairs for one in text.dialogues) - sum(len(part.turns) // 2 for part in parts))
        return parts

    def _part(self, text: RowText, dialogue: Dialogue, first: bool, has_image: bool, name: str) -> Part:
        """Encode one dialogue of a sample."""
        turns = self._ready(text.join(dialogue, first=first), has_image, name)
        return Part(turns, self._encoder.encode(turns, has_image=has_image, first=first))

    def _ready(self, turns: list[Turn], has_image: bool, name: str) -> list[Turn]:
        """Rewrite the turns of a dialogue; refuse a malformed one outside the strict mode."""
        ready = prepare_turns(turns, self.template, has_image=has_image, row=name)
        if self.strict:
            return ready
        fault = first_fault(ready, self.template)
        if fault:
            raise RowError.of(name, fault, WELL_FORMED, MEND)
        places = sum(IMAGE_TAG in turn.value for turn in ready) if has_image else 0
        if places > 1:
            found = f"{places} places for its one image"
            expected = f"one `{IMAGE_TAG}`, as the model takes the next row's image for the second"
            raise RowError.of(name, found, expected, "remove the others")
        return ready

    def _encode(self, turns: list[Turn], has_image: bool, row: str) -> Encoded:
        """Encode the turns of a whole sample as the original does, malformed ones included."""
        encoded = self._encoder.encode(turns, has_image=has_image)
        if not has_image:
            encoded = encoded.cut(self.max_length)
        fault = "" if self.template.single else first_fault(turns, self.template)
        if not fault:
            return encoded
        encoded, masked = mask_as_original(
            self._encoder,
            self._encoder.prompt(turns),
            encoded.ids,
            has_image=has_image,
            max_length=self.max_length,
        )
        if masked and not self.strict:
            raise RowError.of(row, fault, WELL_FORMED, MEND)
        self._count("masked", int(masked))
        return encoded

    def _arrays(self, encoded: Encoded) -> tuple[Ids, Ids]:
        """Make the arrays of a sample in the form that was asked for."""
        input_ids = np.array(encoded.ids, np.int64)
        labels = np.full(len(input_ids), IGNORE, np.int64)
        for start, end in encoded.spans:
            labels[start:end] = input_ids[start:end]
        if self.form == "llava":
            return input_ids, labels
        places = input_ids == IMAGE_ID
        input_ids[places], labels[places] = HF_IMAGE_ID, IGNORE
        times = np.where(places, FEATURES, 1)
        return np.repeat(input_ids, times), np.repeat(labels, times)

    def _features_to_come(self, encoded: Encoded) -> int:
        """Number of tokens by which the model itself will lengthen the sample."""
        return encoded.ids.count(IMAGE_ID) * (FEATURES - 1) if self.form == "llava" else 0

    def _check_sample(self, input_ids: Ids, labels: Ids, usable: int, name: str) -> None:
        """Refuse a sample of which nothing would be learnt, or whose image was cut in two."""
        places = int((input_ids == HF_IMAGE_ID).sum()) if self.form == "hf" else 0
        if places not in (0, FEATURES):
            found, expected = f"{places} tokens for an image", f"{FEATURES} of them"
            raise RowError.of(name, found, expected, "raise max_length, or leave the row out")
        if not self.strict and (labels[:usable] == IGNORE).all():
            raise RowError.of(
                name,
                f"no answer within the {usable} tokens that max_length={self.max_length} leaves",
                "something to learn",
                "leave the row out, shorten its question, or raise max_length",
            )

    def _images(self, samples: list[Sample], imager: Imager) -> dict[str, Any]:
        """Put the images together under the name that the form has for them."""
        pixels = [sample.pixels for sample in samples]
        if self.form == "llava":
            return {"images": imager.stack(pixels)}
        pixels = [image for image in pixels if image is not None]
        return {"pixel_values": imager.stack(pixels)} if pixels else {}

    def _count(self, name: str, number: int) -> int:
        """Add to a counter, also from several threads; return what it then is."""
        with self._lock:
            total: int = getattr(self, name) + number
            setattr(self, name, total)
            return total

    def _skip(self, error: RowError) -> None:
        """Count a row that is left out; name the first few in the log, then one at each power of ten."""
        total = self._count("skipped", 1)
        if total <= _NAMED or str(total).strip("0") == "1":
            _LOG.warning("row %d that is skipped: %s", total, error)

    def _count_left_out(self, count: int) -> None:
        self._count("left_out", count)
        if count and not self._warned:
            self._warned = True
            warnings.warn(
                f"pairs='fit' left out {count} question-answer pairs of a row: a sequence takes whole dialogues "
                "while they fit, and one of those that ask the same. `Stream` shows all of them over its epochs. "
                "This is said once; `left_out` goes on counting",
                stacklevel=2,
            )
