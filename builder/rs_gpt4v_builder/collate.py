"""Rows of a release -> one padded batch of tensors, as LLaVA-1.5 trains on them.

The batch of `form="llava"` is that of `DataCollatorForSupervisedDataset` in haotian-liu/LLaVA
(llava/train/train.py), except that the attention mask follows from lengths: the original's
`ids != pad` also hides a literal `<unk>` in the middle of a text. That of `form="hf"` fits
`LlavaForConditionalGeneration` of transformers.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from . import images
from .conversation import (
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
from .dialogues import FEATURES, Dialogue, RowText, has_tag, one_of, read_text, row_name
from .errors import OptionError, RowError
from .masking import mask_as_original
from .tokenizer import LlamaTokenizer
from .turns import IMAGE_TAG, Turn, parse_turns

HF_IMAGE_ID, HF_PAD_ID = 32000, 32001
"""`<image>` and `<pad>` in the vocabulary of the llava-1.5-hf checkpoints."""

_KNOWN: dict[str, tuple[object, ...]] = {
    "form": ("llava", "hf"),
    "pixels": ("float32", "uint8"),
    "aspect": images.ASPECTS,
    "pairs": ("fit", "one"),
    "packing": (None,),
}

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sample:
    """One row, ready to be padded.

    Attributes:
        input_ids: (L,) int64.
        labels: (L,) int64, `IGNORE` where nothing is learnt.
        pixels: (3, 336, 336) uint8, or None where no image belongs to the row.
    """

    input_ids: Ids
    labels: Ids
    pixels: images.Pixels | None


class LlavaCollator:
    """Turns a list of rows into a batch; the `collate_fn` of a stock `DataLoader`. Can be pickled.

    A row is a dict with `conversations` and, where there is an image, `image`: of a release (then
    `pairs` tells which dialogues are independent), or a record of LLaVA's own files with the image
    opened.

    Args:
        tokenizer: What `load_tokenizer` gives.
        form: `llava` puts -200 where the image goes; `hf` puts 576 ids 32000 there and names the
            images `pixel_values`.
        template: `v1` (LLaVA-1.5's tuning) or `plain` (its projector's pre-training).
        max_length: Most tokens of a sample, the image's 576 features among them.
        legacy: Whether the tokenizer behaves as `LlamaTokenizer(legacy=True)`; Vicuna 1.5 has
            False.
        strict: Whether a malformed sample is treated as the original code does (which learns
            nothing of most of them, see `masked`); else it is a `RowError`.
        pixels: `float32` normalises, `uint8` leaves 0..255 to those who normalise on the device.
        aspect: `pad` to a square with the mean colour (LLaVA-1.5), or `crop`.
        pairs: `fit` takes whole dialogues of a row in order while they fit, never two with a
            question in common (so one caption of an image); a single dialogue that is too long is
            cut. `one` takes one dialogue, another one each `epoch`.
        packing: None; nothing else is available yet.

    Attributes:
        epoch: Number of the epoch, which you set; 0 at first. Only `pairs="one"` looks at it. The
            workers of a `DataLoader` have copies of the collator: set it before they start.
        left_out: Pairs of question and answer that `pairs="fit"` left out so far, in this process.
        masked: Rows that `strict=True` masked whole so far, in this process.
        cut: Rows that were cut at `max_length` so far, in this process.

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
        pairs: str = "fit",
        packing: str | None = None,
    ) -> None:
        given = {"form": form, "pixels": pixels, "aspect": aspect, "pairs": pairs}
        for name, value in given.items():
            if value not in _KNOWN[name]:
                raise OptionError.unknown(name, value, _KNOWN[name])
        if packing is not None:
            raise OptionError(f"packing={packing!r} is not available yet: known is only None")
        if max_length < 1:
            raise OptionError(f"max_length={max_length} is not a number of tokens: use 1 or more")
        self.tokenizer, self.template = tokenizer, find_template(template)
        self.form, self.pixels, self.aspect, self.pairs = form, pixels, aspect, pairs
        self.max_length, self.legacy, self.strict = max_length, legacy, strict
        self.epoch = 0
        self.left_out = self.masked = self.cut = 0
        self._warned = False
        self._encoder = Encoder(self.template, tokenizer, legacy=legacy)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Make a batch.

        Args:
            rows: At least one row.

        Returns:
            input_ids: (B, L) int64, padded on the right with `<unk>` (`hf`: 32001).
            labels: (B, L) int64, -100 where nothing is learnt.
            attention_mask: (B, L) int64, 1 on each row's own tokens.
            images: (B, 3, 336, 336) float32 normalised, or uint8. A row without image has zeros, as
                in the original: the model takes one image a row, whether or not the text has a
                place for it.
            pixel_values: The same in the form `hf`, but only of rows with a place for their image
                (that model counts the places), and absent where no row has one.

        Raises:
            RowError: A row cannot be trained on; the message names it.
            OptionError: There are no rows.
        """
        if not rows:
            raise OptionError("a batch of no rows: give one or more")
        samples = [self._sample(row) for row in rows]
        longest = max(len(sample.input_ids) for sample in samples)
        pad_id = HF_PAD_ID if self.form == "hf" else self.tokenizer.pad_id
        shape = len(samples), longest
        input_ids, labels = np.full(shape, pad_id, np.int64), np.full(shape, IGNORE, np.int64)
        mask = np.zeros(shape, np.int64)
        for number, sample in enumerate(samples):
            length = len(sample.input_ids)
            input_ids[number, :length] = sample.input_ids
            labels[number, :length] = sample.labels
            mask[number, :length] = 1
        batch = {"input_ids": input_ids, "labels": labels, "attention_mask": mask}
        return {name: torch.from_numpy(array) for name, array in (batch | self._images(samples)).items()}

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

    def _sample(self, row: Mapping[str, Any]) -> Sample:
        name, image = row_name(row), row.get("image")
        text = read_text(row)
        tagged = text.tagged or any(has_tag(dialogue.turns) for dialogue in text.dialogues)
        self._check_image(row, tagged)
        encoded = self._choose(text, image is not None, name)
        input_ids, labels = self._arrays(encoded)
        if len(input_ids) > self.max_length - self._features_to_come(input_ids):
            self.cut += 1
        input_ids, labels = input_ids[: self.max_length], labels[: self.max_length]
        self._check_sample(input_ids, labels, name)
        wanted = image is not None and (self.form == "llava" or tagged)
        pixels = images.preprocess(image, aspect=self.aspect, row=name) if wanted else None
        return Sample(input_ids, labels, pixels)

    def _check_image(self, row: Mapping[str, Any], tagged: bool) -> None:
        """Refuse a text with a place for an image in a row without one."""
        if not tagged or row.get("image") is not None:
            return
        if "image" in row:
            raise RowError.of(
                row_name(row),
                f"a null image, and `{IMAGE_TAG}` in the text",
                "the image's bytes",
                images.FILL_IN,
            )
        if not self.strict:  # the original takes the tag for plain text
            expected = "the column `image`"
            found = f"`{IMAGE_TAG}` in the text of a row that has no column `image`"
            raise RowError.of(row_name(row), found, expected, "keep the column, or remove the tag")

    def _choose(self, text: RowText, has_image: bool, name: str) -> Encoded:
        """Encode the dialogues of a row that go into its sample."""
        if self.pairs == "one" and len(text.dialogues) > 1:
            if not name:
                do = "keep the column `id`, or use pairs='fit'"
                raise RowError.of(name, "no `id`", "one, as pairs='one' chooses by it", do)
            number = one_of(name, self.epoch, len(text.dialogues))
            turns, encoded = self._begin(text, text.dialogues[number], has_image, name)
        else:
            turns, encoded = self._fit(text, has_image, name)
        # only in the strict mode: what becomes of a malformed sample follows from the whole of it
        return self._encode(turns, has_image, name) if self._fault(turns) else encoded

    def _fit(self, text: RowText, has_image: bool, name: str) -> tuple[list[Turn], Encoded]:
        """Take dialogues in order while they fit; return their turns and the encoding."""
        turns, encoded = self._begin(text, text.dialogues[0], has_image, name)
        asked = text.dialogues[0].questions()
        taken = text.dialogues[0].pairs
        budget = self.max_length - (FEATURES - 1 if text.tagged and has_image else 0)
        for dialogue in () if self.template.single else text.dialogues[1:]:
            questions = dialogue.questions()
            if questions & asked:
                continue
            more = self._ready(text.join(dialogue, first=False), has_image, name)
            extension = self._encoder.encode(more, has_image=has_image, first=False)
            if len(encoded.ids) + len(extension.ids) > budget:
                break
            turns, encoded = turns + more, encoded + extension
            asked |= questions
            taken += dialogue.pairs
        self._count_left_out(sum(dialogue.pairs for dialogue in text.dialogues) - taken)
        return turns, encoded

    def _begin(self, text: RowText, dialogue: Dialogue, has_image: bool, name: str) -> tuple[list[Turn], Encoded]:
        """Encode the first dialogue of a sample."""
        turns = self._ready(text.join(dialogue, first=True), has_image, name)
        return turns, self._encoder.encode(turns, has_image=has_image)

    def _ready(self, turns: list[Turn], has_image: bool, name: str) -> list[Turn]:
        """Rewrite the turns of a dialogue; refuse a malformed one outside the strict mode."""
        ready = prepare_turns(turns, self.template, has_image=has_image, row=name)
        if self.strict:
            return ready
        fault = self._fault(ready)
        if fault:
            raise RowError.of(name, fault, WELL_FORMED, MEND)
        places = sum(turn.value.count(IMAGE_TAG) for turn in ready) if has_image else 0
        if places > 1:
            found = f"{places} places for its one image"
            expected = f"one `{IMAGE_TAG}`, as the model takes the next row's image for the second"
            raise RowError.of(name, found, expected, "remove the others")
        return ready

    def _fault(self, turns: list[Turn]) -> str:
        if self.template.single:
            return "" if turns[1].value else "an empty answer"
        return first_fault(turns)

    def _encode(self, turns: list[Turn], has_image: bool, row: str) -> Encoded:
        """Encode the turns of a whole sample as the original does, malformed ones included."""
        encoded = self._encoder.encode(turns, has_image=has_image)
        if not has_image:
            encoded = encoded.cut(self.max_length)
        fault = "" if self.template.single else first_fault(turns)
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
        self.masked += masked
        return encoded

    def _arrays(self, encoded: Encoded) -> tuple[Ids, Ids]:
        """Make the arrays of a sample in the form that was asked for."""
        input_ids = np.array(encoded.ids, np.int64)
        labels = np.array(encoded.labels(), np.int64)
        if self.form == "llava":
            return input_ids, labels
        places = input_ids == IMAGE_ID
        input_ids[places], labels[places] = HF_IMAGE_ID, IGNORE
        times = np.where(places, FEATURES, 1)
        return np.repeat(input_ids, times), np.repeat(labels, times)

    def _features_to_come(self, input_ids: Ids) -> int:
        """Number of tokens by which the model itself will lengthen the sample."""
        return int((input_ids == IMAGE_ID).sum()) * (FEATURES - 1)

    def _check_sample(self, input_ids: Ids, labels: Ids, name: str) -> None:
        """Refuse a sample of which nothing would be learnt, or whose image was cut in two."""
        places = int((input_ids == HF_IMAGE_ID).sum()) if self.form == "hf" else 0
        if places not in (0, FEATURES):
            found, expected = f"{places} tokens for an image", f"{FEATURES} of them"
            raise RowError.of(name, found, expected, "raise max_length, or leave the row out")
        # the model puts in the features of the image, and then cuts once more
        usable = max(0, self.max_length - self._features_to_come(input_ids))
        if not self.strict and (labels[:usable] == IGNORE).all():
            raise RowError.of(
                name,
                f"no answer within the {usable} tokens that max_length={self.max_length} leaves",
                "something to learn",
                "leave the row out, shorten its question, or raise max_length",
            )

    def _images(self, samples: list[Sample]) -> dict[str, npt.NDArray[Any]]:
        """Stack the images: (N, 3, 336, 336) under the name that the form has for them."""
        pixels = [sample.pixels for sample in samples]
        if self.form == "hf":
            pixels = [image for image in pixels if image is not None]
            if not pixels:
                return {}
        size = images.SIZE
        stack = np.zeros((len(pixels), 3, size, size), self.pixels)
        for place, image in zip(stack, pixels, strict=True):
            if image is None:
                continue
            if self.pixels == "uint8":
                place[:] = image
            else:
                images.normalise(image, out=place)
        return {"pixel_values" if self.form == "hf" else "images": stack}

    def _count_left_out(self, count: int) -> None:
        self.left_out += count
        if count and not self._warned:
            self._warned = True
            warnings.warn(
                f"pairs='fit' left out {count} question-answer pairs of a row: a sequence takes whole dialogues "
                'while they fit, and one of those that ask the same. The coming Stream(pairs="each") shows all '
                "of them. This is said once; `left_out` goes on counting",
                stacklevel=2,
            )
