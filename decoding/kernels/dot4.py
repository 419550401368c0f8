"""Sums of four products of bytes, the instruction that quantised weights live on.

The same whole numbers on every CPU: VNNI has it as one instruction, AVX2 as two multiplications of 16-bit
pairs, everything else does four of 32 bits.
"""

from __future__ import annotations

from decoding.kernels.lanes import FEATURES, I32, I32S, Lanes, Value
from forecast.kernels._jit import ir

WAYS = tuple(
    way
    for way, needed in (("vnni512", "avx512vnni"), ("vnni256", "avxvnni"), ("avx2", "avx2"), ("plain", ""))
    if not needed or needed in FEATURES
)
"""Ways of this CPU, the best first."""

_HALVES = tuple(ir.Constant(ir.VectorType(I32, 8), list(range(start, start + 8))) for start in (0, 8))
_WHOLE = ir.Constant(I32S, list(range(16)))
_I32_8 = ir.VectorType(I32, 8)
_I16_16 = ir.VectorType(ir.IntType(16), 16)


def dot4(lanes: Lanes, acc: Value, weights: Value, x: Value, way: str = WAYS[0]) -> Value:
    """Return ``acc[i] + sum_j weights[i, j] x[i, j]`` over the four bytes of every lane.

    Parameters
    ----------
    acc
        16 lanes of int32.
    weights, x
        16 lanes of four bytes each, unsigned and signed.
    """
    if way == "vnni512":
        return lanes.call("llvm.x86.avx512.vpdpbusd.512", I32S, [acc, weights, x])
    if way == "vnni256":
        return _halved(lanes, "llvm.x86.avx512.vpdpbusd.256", acc, weights, x)
    if way == "avx2":
        return _by_pairs(lanes, acc, weights, x)
    b = lanes.builder
    for j in range(4):
        w = b.and_(b.lshr(weights, lanes.splat_whole(8 * j)), lanes.splat_whole(0xFF))
        signed = b.ashr(b.shl(x, lanes.splat_whole(24 - 8 * j)), lanes.splat_whole(24))
        acc = b.add(acc, b.mul(w, signed))
    return acc


def _halved(lanes: Lanes, name: str, acc: Value, weights: Value, x: Value) -> Value:
    """Call an instruction of 8 lanes twice."""
    b = lanes.builder
    low, high = (
        lanes.call(name, _I32_8, [b.shuffle_vector(v, v, half) for v in (acc, weights, x)])
        for half in _HALVES
    )
    return b.shuffle_vector(low, high, _WHOLE)


def _by_pairs(lanes: Lanes, acc: Value, weights: Value, x: Value) -> Value:
    """Multiply bytes 0 and 2, then 1 and 3, widened to 16 bits: no sum can saturate."""
    b = lanes.builder
    odd = (b.and_(weights, lanes.splat_whole(0x00FF00FF)), _words(lanes, x, left=8))
    even = (
        b.and_(b.lshr(weights, lanes.splat_whole(8)), lanes.splat_whole(0x00FF00FF)),
        _words(lanes, x, left=0),
    )
    for w, signed in (odd, even):
        parts = []
        for half in _HALVES:
            pairs = [b.bitcast(b.shuffle_vector(v, v, half), _I16_16) for v in (w, signed)]
            parts.append(lanes.call("llvm.x86.avx2.pmadd.wd", _I32_8, pairs))
        acc = b.add(acc, b.shuffle_vector(parts[0], parts[1], _WHOLE))
    return acc


def _words(lanes: Lanes, x: Value, left: int) -> Value:
    """Sign-extend the upper byte of every 16 bits, moved up by `left` first."""
    b = lanes.builder
    kind = ir.VectorType(ir.IntType(16), 32)
    shift = ir.Constant(kind, [left] * 32)
    down = ir.Constant(kind, [8] * 32)
    return b.bitcast(b.ashr(b.shl(b.bitcast(x, kind), shift), down), I32S)
