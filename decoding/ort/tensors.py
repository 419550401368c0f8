"""Weights of a graph: arrays outside of it, read in place by a session, written to a file by an export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from decoding.quantize import BLOCK, LINE, Precision, padded, to_blocks
from decoding.step import F32
from forecast.types import U8

Array = NDArray[Any]

DATA_FILE = "model.onnx.data"

_INT8_ZERO, _INT4_ZERO = 128, 8

_KINDS = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.int32): TensorProto.INT32,
}


class Tensors:
    """Named arrays, one after the other in a file that need not exist.

    Two names may be two shapes of one array: the embedding and the output layer of a tied model.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}
        self._offsets: dict[str, int] = {}
        self._places: dict[int, int] = {}
        self.n_bytes = 0

    def add(self, name: str, values: Array) -> str:
        """Take an array; one over the same memory as an earlier one takes no room. Returns the name."""
        values = np.ascontiguousarray(values)
        address = values.ctypes.data
        if address not in self._places:
            self._places[address] = self.n_bytes
            self.n_bytes += padded(values.nbytes, LINE)
        self._arrays[name], self._offsets[name] = values, self._places[address]
        return name

    def items(self) -> Iterator[tuple[str, Array]]:
        """Names and arrays."""
        yield from self._arrays.items()

    def protos(self) -> list[TensorProto]:
        """Describe the arrays as lying in `DATA_FILE`."""
        return [self._proto(name, values) for name, values in self._arrays.items()]

    def parts(self) -> Iterator[tuple[int, Array]]:
        """Offsets in the file, and what lies there."""
        seen: set[int] = set()
        for name, values in self._arrays.items():
            offset = self._offsets[name]
            if offset not in seen:
                seen.add(offset)
                yield offset, values

    def _proto(self, name: str, values: Array) -> TensorProto:
        proto = TensorProto(name=name, data_type=_KINDS[values.dtype], dims=values.shape)
        proto.data_location = TensorProto.EXTERNAL
        where = {"location": DATA_FILE, "offset": self._offsets[name], "length": values.nbytes}
        for key, value in where.items():
            proto.external_data.add(key=key, value=str(value))
        return proto


def blocks_of(weights: F32, precision: Precision) -> tuple[U8, F32]:
    """Quantise (rows, columns) as `MatMulNBits` reads it: the same numbers as those of our own kernels.

    Returns
    -------
    quants
        (rows, blocks, bytes of 32 weights), two weights a byte in int4, the earlier one in the lower half.
    scales
        (rows, blocks).
    """
    n_blocks = padded(weights.shape[1], BLOCK) // BLOCK
    if precision == "int8":
        found = to_blocks(weights, "int8")
        quants: U8 = (found.quants[:, :n_blocks].astype(np.int16) + _INT8_ZERO).astype(np.uint8)
    else:
        found = to_blocks(weights, "int4")
        wide = (found.quants[:, :n_blocks] + np.int8(_INT4_ZERO)).astype(np.uint8)
        quants = wide[:, :, 0::2] | np.left_shift(wide[:, :, 1::2], 4, dtype=np.uint8)
    return np.ascontiguousarray(quants), np.ascontiguousarray(found.scales[:, :n_blocks])
