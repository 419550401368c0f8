"""Weights packed for the kernels: 16 rows side by side, float32 or in blocks that share a scale.

The layouts are those of `decoding.kernels.panels`. A block is 32 columns of a row. Its scale is a bfloat16,
rounded up so that nothing is cut, and its weights are whole multiples of it: -127..127 in int8; in int4
-8..7, with the sign of the scale such that the largest in size becomes -8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ParamError
from decoding.step import F32
from forecast.types import U8

Precision: TypeAlias = Literal["fp32", "int8", "int4"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

ROWS, BLOCK = 16, 32
COLUMNS = 2 * BLOCK
"""Widths are padded to a multiple of this: the kernels take two blocks at a time."""

LINE = 64
"""Bytes that every part of a panel begins on a multiple of, and that a core owns at a time."""

INT8_ZERO, INT4_ZERO = 128, 8
"""What stands for a weight of 0."""


def check_precision(name: str, value: str) -> Precision:
    """Return `value` as a precision.

    Raises
    ------
    ParamError
        It is none.
    """
    for precision in PRECISIONS:
        if value == precision:
            return precision
    raise ParamError(name, value, f"be one of {', '.join(PRECISIONS)}")


def padded(size: int, multiple: int) -> int:
    """Round up."""
    return -(-size // multiple) * multiple


def panel_bytes(precision: Precision, columns: int) -> int:
    """Bytes of 16 packed rows."""
    n_weights = padded(columns, COLUMNS) * ROWS
    if precision == "fp32":
        return n_weights * 4
    return n_weights // BLOCK * 2 + n_weights // (1 if precision == "int8" else 2)


def packed_bytes(precision: Precision, rows: int, columns: int) -> int:
    """Bytes of a packed matrix."""
    return padded(rows, ROWS) // ROWS * panel_bytes(precision, columns)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """A matrix in blocks of 32 columns.

    Parameters
    ----------
    quants
        (rows, blocks, 32) whole numbers of the scale.
    scales
        (rows, blocks), each a bfloat16 kept as float32.
    """

    quants: NDArray[np.int8]
    scales: F32

    def dense(self) -> F32:
        """(rows, columns) that the quants stand for, padded to pairs of blocks."""
        wide: F32 = self.quants.astype(np.float32) * self.scales[:, :, None]
        return wide.reshape(len(wide), -1)


def bfloat_up(x: F32) -> F32:
    """Return the next bfloat16 of the same sign that is at least as large in size."""
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    return ((bits + np.uint32(0xFFFF)) & np.uint32(0xFFFF0000)).view(np.float32)


def to_blocks(weights: F32, precision: Literal["int8", "int4"]) -> Blocks:
    """Quantise (rows, columns); columns are padded with zeros to pairs of blocks."""
    rows, columns = weights.shape
    wide = np.zeros((rows, padded(columns, COLUMNS)), np.float32)
    wide[:, :columns] = weights
    blocks: F32 = wide.reshape(rows, -1, BLOCK)
    largest = np.abs(blocks).argmax(axis=2)
    extreme: F32 = np.take_along_axis(blocks, largest[:, :, None], axis=2)[:, :, 0]
    if precision == "int8":
        scales, low, high = bfloat_up((np.abs(extreme) / 127).astype(np.float32)), -127, 127
    else:
        scales, low, high = bfloat_up((extreme / -8).astype(np.float32)), -8, 7
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales != 0)
    quants = np.clip(np.rint(blocks * inverse[:, :, None]), low, high).astype(np.int8)
    return Blocks(quants, scales)


def pack(weights: F32, precision: Precision) -> U8:
    """Pack (rows, columns) for the kernels; returns (panels, panel_bytes)."""
    rows, columns = weights.shape
    n_panels, n_blocks = padded(rows, ROWS) // ROWS, padded(columns, COLUMNS) // BLOCK
    if precision == "fp32":
        wide = np.zeros((n_panels * ROWS, n_blocks * BLOCK), np.float32)
        wide[:rows, :columns] = weights
        by_column = wide.reshape(n_panels, ROWS, -1).transpose(0, 2, 1)
        return np.ascontiguousarray(by_column).view(np.uint8).reshape(n_panels, -1)
    blocks = to_blocks(weights, precision)
    quants = np.zeros((n_panels * ROWS, n_blocks, 8, 4), np.int8)
    quants[:rows] = blocks.quants.reshape(rows, n_blocks, 8, 4)
    scales = np.zeros((n_panels * ROWS, n_blocks), np.float32)
    scales[:rows] = blocks.scales
    return _panels(quants, scales, precision)


def _panels(quants: NDArray[np.int8], scales: F32, precision: Precision) -> U8:
    """Lay out padded quants (rows, blocks, 8, 4) and scales (rows, blocks)."""
    n_panels, n_blocks = len(quants) // ROWS, quants.shape[1]
    zero = INT8_ZERO if precision == "int8" else INT4_ZERO
    groups = (quants.astype(np.int16) + zero).astype(np.uint8)
    groups = groups.reshape(n_panels, ROWS, n_blocks, 8, 4).transpose(0, 2, 3, 1, 4)
    if precision == "int4":
        groups = (groups[:, :, :4] | groups[:, :, 4:] << 4).astype(np.uint8)
    words = (scales.view(np.uint32) >> 16).astype(np.uint16)
    words = np.ascontiguousarray(words.reshape(n_panels, ROWS, n_blocks).transpose(0, 2, 1))
    # Two blocks' scales, one line, then their weights.
    pairs = n_panels, n_blocks // 2
    parts = [words.view(np.uint8).reshape(*pairs, LINE), groups.reshape(*pairs, -1)]
    return np.concatenate(parts, axis=2).reshape(n_panels, -1)
