"""Codes of partial autocorrelations to lag coefficients, inside a graph, in float64.

k = sin(code * scale), then the step-up of Durbin (1960), as in `edge.quantize.polynomial`. Series stand by
class: n16 with 16 bits, then n8, then n4, so that no flag a series is stored.

| table | shape | holds |
|---|---|---|
| `codes` | int8 (n16 + n8, p) | the codes of 8 bits; of 16 bits the high byte |
| `fine` | int8 (n16 + 1, p) | low bytes of 16 bits, code = 256 high + low; a row of zeros at the end |
| `nibbles` | uint8 (n4, ceil(p / 2)) | code + 8: low half lag j, high half lag j + ceil(p / 2) |
| `scale` | float32 (n, 1) | |
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.graph.builder import DOUBLE, Graph, Value
from edge.graph.tables import Tables
from edge.quantize.codec import F32, I16, split
from forecast.types import F64, U8


def lag_coefficients(
    tables: Tables, codes: I16, scale: F32, classes: tuple[int, int, int], name: str
) -> Value:
    """Return (B, p) lag coefficients called `name`, of the batch, or of all series where nothing is gathered.

    Parameters
    ----------
    codes, scale
        (n, p) and (n,), in file order.
    classes
        n16, n8, n4.
    """
    graph, p = tables.graph, codes.shape[1]
    code = _codes(tables, codes, classes)
    # Onnxruntime moves transpositions towards the outputs, where strides are slow: flat tensors stop it.
    flat = graph.add("Reshape", graph.add("Transpose", code, perm=[1, 0]), graph.ints([-1]))
    lanes = graph.add("Reshape", graph.cast(flat, DOUBLE), graph.ints([p, -1]))
    angle = graph.add("Mul", lanes, graph.add("Reshape", _scale(tables, scale), graph.ints([1, -1])))
    a = step_up(graph, graph.add("Sin", angle), p)
    flat = graph.add("Reshape", graph.add("Transpose", a, perm=[1, 0]), graph.ints([-1]))
    return graph.add("Reshape", flat, graph.ints([-1, p]), name=name)


def seasonal_coefficients(tables: Tables, codes: I16, scale: F32, name: str) -> Value:
    """Return (B, P) coefficients of the seasonal factor; so few that codes are not split into classes."""
    graph, P = tables.graph, codes.shape[1]
    narrow = np.int8 if np.abs(codes.astype(np.int64)).max() <= np.iinfo(np.int8).max else np.int16
    code = graph.cast(_every(tables, codes.astype(narrow)), DOUBLE)
    k = graph.add("Sin", graph.add("Mul", code, _scale(tables, scale)))
    a = graph.slice(k, 0, 1, axis=1) if P > 1 else k
    for m in range(1, P):
        last = graph.slice(k, m, m + 1, axis=1)
        mirrored = a if m == 1 else graph.slice(a, -1, -(P + 1), axis=1, step=-1)
        inner = graph.add("Sub", a, graph.add("Mul", last, mirrored))
        a = graph.add("Concat", inner, last, axis=1)
    return graph.add("Reshape", a, graph.ints([-1, P]), name=name)


def step_up(graph: Graph, parcor: Value, p: int) -> Value:
    """(p, B) lag coefficients of (p, B) partial autocorrelations."""
    a = graph.slice(parcor, 0, 1, axis=0) if p > 1 else parcor
    for m in range(1, p):
        k = graph.slice(parcor, m, m + 1, axis=0)
        mirrored = a if m == 1 else graph.slice(a, -1, -(p + 1), axis=0, step=-1)
        a = graph.add("Concat", graph.add("Sub", a, graph.add("Mul", k, mirrored)), k, axis=0)
    return a


def packed(codes: I16) -> U8:
    """(n, ceil(p / 2)) bytes of codes of 4 bits."""
    half = (codes.shape[1] + 1) // 2
    shifted = np.zeros((len(codes), 2 * half), dtype=np.int16)
    shifted[:, : codes.shape[1]] = codes + 8
    return np.asarray(shifted[:, :half] + 16 * shifted[:, half:], dtype=np.uint8)


def _scale(tables: Tables, scale: F32) -> Value:
    return tables.graph.cast(_every(tables, scale[:, None]), DOUBLE)


def _every(tables: Tables, array: NDArray[Any], name: str | None = None) -> Value:
    """Return the rows of the batch, even where all series have the same: a row each."""
    stored = tables.graph.constant(array, name)
    return stored if tables.index is None else tables.graph.add("Gather", stored, tables.index, axis=0)


def _codes(tables: Tables, codes: I16, classes: tuple[int, int, int]) -> Value:
    """(B, p) codes as float64, or as they are stored where they are all of 8 bits."""
    n16, n8, n4 = classes
    if tables.index is None:
        return _all_codes(tables.graph, codes, classes)
    graph, index = tables.graph, tables.index
    wide = n16 + n8
    parts = []
    if wide:
        at = graph.add("Min", index, graph.whole(wide - 1)) if n4 else index
        parts.append(_bytes(graph, at, codes[:wide], n16))
    if n4:
        at = graph.add("Max", graph.add("Sub", index, graph.whole(wide)), graph.whole(0)) if wide else index
        pairs = graph.add("Gather", graph.constant(packed(codes[wide:]), "nibbles"), at, axis=0)
        parts.append(_unpacked(graph, pairs, codes.shape[1]))
    if len(parts) == 1:
        return parts[0]
    is_wide = graph.add("Less", index, graph.whole(wide))
    first = graph.cast(parts[0], DOUBLE) if not n16 else parts[0]
    return graph.add("Where", graph.add("Unsqueeze", is_wide, graph.ints([1])), first, parts[1])


def _bytes(graph: Graph, at: Value, codes: I16, n16: int) -> Value:
    """(B, p) codes of 8 and 16 bits at the rows `at`."""
    high, low = split(codes[:n16])
    coarse = np.concatenate([high, codes[n16:].astype(np.int8)])
    found = graph.add("Gather", graph.constant(coarse, "codes"), at, axis=0)
    if not n16:
        return found
    fine = np.concatenate([low, np.zeros((1, codes.shape[1]), dtype=np.int8)])
    rest = graph.add("Gather", graph.constant(fine, "fine"), graph.add("Min", at, graph.whole(n16)), axis=0)
    weight = graph.add(
        "Where", graph.add("Less", at, graph.whole(n16)), graph.number(256.0), graph.number(1.0)
    )
    weight = graph.add("Unsqueeze", weight, graph.ints([1]))
    scaled = graph.add("Mul", graph.cast(found, DOUBLE), weight)
    return graph.add("Add", scaled, graph.cast(rest, DOUBLE))


def _all_codes(graph: Graph, codes: I16, classes: tuple[int, int, int]) -> Value:
    """(n, p) codes of every series, folded when the file is loaded."""
    n16, n8, n4 = classes
    parts = []
    if n16:
        high, low = split(codes[:n16])
        coarse = graph.add("Mul", graph.cast(graph.constant(high, "high"), DOUBLE), graph.number(256.0))
        parts.append(graph.add("Add", coarse, graph.cast(graph.constant(low, "fine"), DOUBLE)))
    if n8:
        stored = graph.constant(codes[n16 : n16 + n8].astype(np.int8), "codes")
        parts.append(graph.cast(stored, DOUBLE) if n16 or n4 else stored)
    if n4:
        pairs = graph.constant(packed(codes[n16 + n8 :]), "nibbles")
        parts.append(_unpacked(graph, pairs, codes.shape[1]))
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=0)


def _unpacked(graph: Graph, pairs: Value, p: int) -> Value:
    """(B, p) float64 codes of 4 bits."""
    both = graph.cast(pairs, DOUBLE)
    high = graph.add("Floor", graph.add("Div", both, graph.number(16.0)))
    low = graph.add("Sub", both, graph.add("Mul", high, graph.number(16.0)))
    code = graph.add("Sub", graph.add("Concat", low, high, axis=1), graph.number(8.0))
    return graph.slice(code, 0, p, axis=1) if p % 2 else code


def plain_coefficients(tables: Tables, phi: F64, name: str) -> Value:
    """Return (B, p) coefficients that are stored as they are, in a table called `name`."""
    return _every(tables, phi, name)
