"""Products of packed weights with rows of activations, and rows read back from packed weights."""

from __future__ import annotations

import numpy as np

from decoding.kernels.panels import TILE, panel_f32, panel_int4, panel_int8
from decoding.kernels.rows import (
    clear,
    copy_rows,
    gate,
    normalise,
    peek_bf16,
    peek_f32,
    peek_u8,
    poke_f32,
    quantise,
)
from decoding.kernels.shapes import F32, INT8, NONE
from decoding.quantize import BLOCK, INT4_ZERO, INT8_ZERO, ROWS
from forecast.kernels._jit import kernel, large_kernel

GROUP = 4
"""Panels that see a tile of rows before the next tile comes: both stay in the first-level cache."""


@kernel
def pair_bytes(kind: int) -> int:
    """Bytes of two blocks of a panel."""
    if kind == F32:
        return 2 * BLOCK * ROWS * 4
    return 64 + 2 * BLOCK * ROWS // (1 if kind == INT8 else 2)


@kernel
def panel_bytes(kind: int, n_blocks: int) -> int:
    """Bytes of a panel."""
    return n_blocks // 2 * pair_bytes(kind)


@large_kernel
def panel_times(
    kind: int, panel: int, x: int, x_bytes: int, out: int, out_bytes: int, n_blocks: int, n: int, add: int
) -> None:
    """Multiply one panel with up to TILE rows."""
    if kind == F32:
        panel_f32(panel, x, x_bytes, out, out_bytes, n_blocks, n, add)
    elif kind == INT8:
        panel_int8(panel, x, x_bytes, out, out_bytes, n_blocks, n, add)
    else:
        panel_int4(panel, x, x_bytes, out, out_bytes, n_blocks, n, add)


@large_kernel
def multiply(
    kind: int,
    weights: int,
    first: int,
    last: int,
    x: int,
    x_bytes: int,
    out: int,
    out_bytes: int,
    n_blocks: int,
    n: int,
    add: int,
) -> None:
    """Write outputs 16 first .. 16 last of n rows; `add` to what is there."""
    size = panel_bytes(kind, n_blocks)
    for group in range(first, last, GROUP):
        for t in range(0, n, TILE):
            x_at, row, m = x + t * x_bytes, out + t * out_bytes, min(TILE, n - t)
            for p in range(group, min(group + GROUP, last)):
                at = weights + p * size
                panel_times(kind, at, x_at, x_bytes, row + p * ROWS * 4, out_bytes, n_blocks, m, add)


@large_kernel
def multiply_gated(
    kind: int,
    weights: int,
    first: int,
    last: int,
    x: int,
    x_bytes: int,
    out: int,
    out_bytes: int,
    n_blocks: int,
    n: int,
    ups: int,
) -> None:
    """Write silu(gate x) * (up x); panels of gate and up alternate.

    Parameters
    ----------
    ups
        Room for TILE rows of 16.
    """
    size, line = panel_bytes(kind, n_blocks), ROWS * 4
    for p in range(first, last):
        at = weights + 2 * p * size
        for t in range(0, n, TILE):
            x_at, gated, m = x + t * x_bytes, out + t * out_bytes + p * line, min(TILE, n - t)
            panel_times(kind, at, x_at, x_bytes, gated, out_bytes, n_blocks, m, NONE)
            panel_times(kind, at + size, x_at, x_bytes, ups, line, n_blocks, m, NONE)
            for j in range(m):
                gate(gated + j * out_bytes, ups + j * line, gated + j * out_bytes)


@large_kernel
def prepare(
    kind: int, x: int, norm: int, size: int, eps: float, n_blocks: int, record: int, own: int
) -> None:
    """Make a row of float32 the input of a product, normalised if `norm` is an address.

    Parameters
    ----------
    own
        Room for the row.
    """
    n16 = n_blocks * BLOCK // 16
    source = x
    if norm != 0:
        source = record if kind == F32 else own
        normalise(x, norm, source, n16, np.float32(size), np.float32(eps))
    if kind != F32:
        quantise(source, record, n_blocks)
    elif norm == 0:
        copy_rows(x, record, n16)


@large_kernel
def read_row(kind: int, weights: int, row: int, columns: int, n_blocks: int, out: int) -> None:
    """Write row `row` of packed weights as float32, padded with zeros."""
    clear(out, n_blocks * BLOCK // 16)
    panel = weights + row // ROWS * panel_bytes(kind, n_blocks)
    lane = row % ROWS
    for k in range(columns):
        if kind == F32:
            poke_f32(out + k * 4, peek_f32(panel + (k * ROWS + lane) * 4))
            continue
        pair, half, group = k // (2 * BLOCK), k // BLOCK % 2, k % BLOCK // 4
        scales = panel + pair * pair_bytes(kind)
        step = peek_bf16(scales + (half * ROWS + lane) * 2)
        column = lane * 4 + k % 4
        if kind == INT8:
            found = peek_u8(scales + 64 + (half * 8 + group) * 64 + column) - INT8_ZERO
        else:
            both = peek_u8(scales + 64 + (half * 4 + group % 4) * 64 + column)
            found = (both >> 4 * (group // 4) & 15) - INT4_ZERO
        poke_f32(out + k * 4, np.float32(found) * step)
