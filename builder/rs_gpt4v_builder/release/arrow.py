"""Arrow arrays as numpy arrays and back, without what pyarrow imports for that.

`pyarrow.compute`, which many methods of an array go through, takes 40 ms, and a scalar brings pandas, 0.3 s: that is
more than all else until the first row of a release over a network.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def numbers(array: pa.Array, null: int = 0) -> npt.NDArray[np.signedinteger]:
    """Signed integers of an array, (n,), with `null` where there is none; a view where none is null."""
    kind = np.dtype(f"i{array.type.bit_width // 8}")
    if not len(array):
        return np.empty(0, kind)
    found = np.frombuffer(array.buffers()[1], kind)[array.offset : array.offset + len(array)]
    there = valid(array)
    return found if there is None else np.where(there, found, kind.type(null))


def valid(array: pa.Array) -> npt.NDArray[np.bool_] | None:
    """Where an array has values, (n,); None is everywhere."""
    if not array.null_count:
        return None
    bits = np.unpackbits(np.frombuffer(array.buffers()[0], np.uint8), bitorder="little")
    return bits[array.offset : array.offset + len(array)].astype(bool)


def list_lengths(array: pa.Array) -> npt.NDArray[np.signedinteger]:
    """Number of values of each list, (n,); 0 where it is null."""
    lengths, there = np.diff(numbers(array.offsets)), valid(array)
    return lengths if there is None else np.where(there, lengths, 0)


def list_values(array: pa.Array) -> pa.Array:
    """What is in all lists, one behind the other: `array.flatten()`."""
    ends = numbers(array.offsets)
    start, stop = int(ends[0]), int(ends[-1])
    if stop - start != list_lengths(array).sum():  # values where there is no list
        return array.flatten()
    return array.values.slice(start, stop - start)


def binary(values: list[bytes]) -> pa.Array:
    """An array of `large_binary`."""
    ends = np.cumsum([0, *map(len, values)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.large_binary(), len(values), buffers)


def integers(values: list[int]) -> pa.Array:
    """An array of `int32`."""
    return pa.Array.from_buffers(pa.int32(), len(values), [None, pa.py_buffer(np.array(values, np.int32).tobytes())])
