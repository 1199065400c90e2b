"""Reads an RS-GPT4V release and turns its rows into what a training step takes.

    from rs_gpt4v_builder import LlavaCollator, load_tokenizer

    collate = LlavaCollator(load_tokenizer("path/to/tokenizer.model"))
    batch = collate(rows)  # input_ids, labels, attention_mask, images

The modules, in the order in which they use each other:

    errors        what can be wrong with a tokenizer file, an option, a release or a row

    lifetime      threads that end when the process does
    retry         trying again where a network fails for a moment
    web           byte ranges over HTTP
    store         the files of a release, by byte range
    remote        the same over a network
    parquet       column chunks of a file through a store
    arrow         Arrow arrays as numpy arrays and back
    cachedir      where a reader keeps what it made of a release
    index         where every row lies
    text          the texts of the rows, in any order
    groups        images that are no byte ranges
    shelf         what was fetched and may be asked for again
    grouptext     the texts of a remote release, row group by row group
    blocks        blocks of neighbouring rows, and the order of an epoch that needs few of them at a time
    blockcache    blocks of images on the disk
    blockread     reading blocks
    ahead         rows that will be needed, fetched before they are
    network       what a remote release has beside its files
    release       Release and its Rows: a sequence without a copy of the data

    spm           a sentencepiece model file, read without sentencepiece
    tokenizer     LLaMA's tokenizer on the `tokenizers` library
    turns         the turns of a conversation as a row holds them
    estimate      how many tokens a text will have, without a tokenizer
    conversation  turns -> ids and the spans to learn, in one pass
    masking       which samples the original code masks whole, and how it counts
    dialogues     the independent dialogues of a row, and which of them to take
    messages      a row as chat messages, for TRL and for any processor
    lengths       batches of samples of like length, as LLaVA groups them

    order         permutations that are computed at any position
    mix           weighted mixes of tasks and sources
    samples       rows, parts of rows or single dialogues as samples
    blockmix      weighted mixes of a remote release
    netorder      the order of a remote stream
    share         a rank's part of the rest of an epoch
    stream        Stream: the samples of an epoch, in an exact order, with a state

    clip          what CLIP takes: size, colours, how values are normalised
    decode        an image in any form -> its pixels
    resize        pixels -> 336 x 336 on the CPU, quickly or to the bit
    images        an image in any form -> 336 x 336 pixels as CLIP wants them
    packing       many dialogues of a row behind one image, in one sequence
    collate       rows -> a padded batch of tensors

    device        normalising and resizing on the GPU
    nvjpeg        decoding on the GPU
    targets       where a loader's batches go
    loader        Loader: batches of a stream, made ahead by threads
    epochs        a loader that goes on to the next epoch by itself
    trainer       the Trainer of transformers on a loader

Names are imported when they are first used: `import rs_gpt4v_builder` alone costs nothing, and
`load_tokenizer` needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .blocks import BlockSettings
    from .collate import LlavaCollator
    from .epochs import Epochs
    from .lengths import LengthGroupedSampler
    from .loader import Loader
    from .messages import open_image, to_messages
    from .release import Release, Rows
    from .stream import Stream
    from .tokenizer import load_tokenizer
    from .trainer import feed_trainer

__all__ = [
    "BlockSettings",
    "Epochs",
    "LengthGroupedSampler",
    "LlavaCollator",
    "Loader",
    "Release",
    "Rows",
    "Stream",
    "feed_trainer",
    "load_tokenizer",
    "open_image",
    "to_messages",
]

_HOME = {
    "BlockSettings": "blocks",
    "Epochs": "epochs",
    "LengthGroupedSampler": "lengths",
    "LlavaCollator": "collate",
    "Loader": "loader",
    "Release": "release",
    "Rows": "release",
    "Stream": "stream",
    "feed_trainer": "trainer",
    "load_tokenizer": "tokenizer",
    "open_image": "messages",
    "to_messages": "messages",
}
_EXTRA = ("torch", "tokenizers")


def __getattr__(name: str) -> Any:
    """Import the module that holds `name` when the name is first asked for.

    Raises:
        AttributeError: The package has no such name.
        ModuleNotFoundError: A library of the extra `torch` is not installed.
    """
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f".{_HOME[name]}", __name__)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        raise ModuleNotFoundError(
            f"{name} needs {error.name}, which is not installed: pip install 'rs-gpt4v[torch]'",
            name=error.name,
        ) from error
    return getattr(module, name)
