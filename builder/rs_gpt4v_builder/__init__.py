"""Reads an RS-GPT4V release and turns its rows into what a training step takes.

    from rs_gpt4v_builder import LlavaCollator, Loader, Stream, load_tokenizer

    collate = LlavaCollator(load_tokenizer("path/to/tokenizer.model"))
    for batch in Loader(Stream("rs-gpt4v", "vqa"), collate, batch_size=16):
        ...  # input_ids, labels, attention_mask, images

The rooms, in the order in which a row goes through them; each says what is in it:

    release  files, index and texts -> Release and its Rows: any row, in any order, without a copy of the data
    network  the same over a network: byte ranges, blocks, what is fetched ahead
    stream   the order of an epoch -> Stream: samples, shared out to ranks and workers, with a state
    text     conversations -> ids and labels, dialogues, chat messages
    pixels   image files -> 336 x 336 pixels as CLIP wants them
    batch    LlavaCollator, Loader, packing; what training libraries need beside them
    errors   what can be wrong with a tokenizer file, an option, a release or a row

Names are imported when they are first used: `import rs_gpt4v_builder` alone costs nothing, and
`load_tokenizer` needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rs_gpt4v_builder.batch.collate import LlavaCollator
    from rs_gpt4v_builder.batch.epochs import Epochs
    from rs_gpt4v_builder.batch.loader import Loader
    from rs_gpt4v_builder.batch.trainer import feed_trainer
    from rs_gpt4v_builder.network.blocks import BlockSettings
    from rs_gpt4v_builder.release.release import Release, Rows
    from rs_gpt4v_builder.stream.stream import Stream
    from rs_gpt4v_builder.text.lengths import LengthGroupedSampler
    from rs_gpt4v_builder.text.messages import open_image, to_messages
    from rs_gpt4v_builder.text.tokenizer import load_tokenizer

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
    "BlockSettings": "network.blocks",
    "Epochs": "batch.epochs",
    "LengthGroupedSampler": "text.lengths",
    "LlavaCollator": "batch.collate",
    "Loader": "batch.loader",
    "Release": "release.release",
    "Rows": "release.release",
    "Stream": "stream.stream",
    "feed_trainer": "batch.trainer",
    "load_tokenizer": "text.tokenizer",
    "open_image": "text.messages",
    "to_messages": "text.messages",
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
