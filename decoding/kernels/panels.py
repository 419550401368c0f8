"""Sixteen rows of weights times a few tokens: where a model spends its time.

A panel holds 16 rows so that a register takes one column of all of them: a lane is an output, and no sum
ever crosses lanes. `tokens` rows of activations share every load of weights. For one output the order of
its sum is the same however many tokens there are.

Layouts, K columns, blocks of 32 columns, always an even number of them. A panel is read from its first byte
to its last, and the next one follows: memory is fetched ahead as long as the addresses only grow.

====  ==========================================================================================
f32   K x 16 float32, column by column
int8  for every two blocks (2, 16) bfloat16 scales, then (2, 8, 16, 4) bytes: weight / scale + 128
int4  likewise, then (2, 4, 16, 4) bytes: low half column group g, high half g + 4, zero is 8
====  ==========================================================================================

Activations of the quantised kinds are records: K signed bytes, a float32 scale a block, and an int32 a
block that is the sum of its bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from decoding.kernels.dot4 import dot4
from decoding.kernels.lanes import F32, F32S, FEATURES, I16S, I32, I32S, Lanes, Value, lane_program
from decoding.quantize import BLOCK, INT4_ZERO, INT8_ZERO

TILE = 8 if "avx512f" in FEATURES else 4
"""Most tokens at a time: what leaves registers for the weights."""

# Columns an iteration of the float32 loop takes; a divisor of BLOCK.
_UNROLLED = 8


def _finish(lanes: Lanes, acc: list[Value], out: Value, out_stride: Value, add: Value) -> None:
    """Write the sums of all tokens, on top of what is there if `add`."""
    b = lanes.builder
    adding = lanes.splat(b.icmp_signed("!=", add, lanes.whole(0)))
    for j, value in enumerate(acc):
        address = lanes.move(out, lanes.times(out_stride, j))
        before = b.select(adding, lanes.load(F32S, address), lanes.splat_real(0.0))
        lanes.store(b.fadd(value, before), address)


@lane_program("iiiiiiii")
def panel_f32(
    lanes: Lanes,
    panel: Value,
    x: Value,
    x_stride: Value,
    out: Value,
    out_stride: Value,
    n_blocks: Value,
    tokens: Value,
    add: Value,
) -> None:
    """Multiply by float32 weights; `x` is rows of float32."""

    def variant(m: int) -> None:
        rows = [lanes.move(x, lanes.times(x_stride, j)) for j in range(m)]

        def body(i: Value, acc: list[Value]) -> list[Value]:
            for k in range(_UNROLLED):
                at_weight = lanes.move(lanes.times(i, 64 * _UNROLLED), 64 * k)
                at_x = lanes.move(lanes.times(i, 4 * _UNROLLED), 4 * k)
                w = lanes.load(F32S, panel, at_weight)
                acc = [lanes.fma(w, lanes.spread(F32, rows[j], at_x), acc[j]) for j in range(m)]
            return acc

        count = lanes.times(n_blocks, BLOCK // _UNROLLED)
        _finish(lanes, lanes.loop(count, [lanes.splat_real(0.0)] * m, body), out, out_stride, add)

    lanes.choose(tokens, TILE, variant)


def _groups_int8(lanes: Lanes, weights: Value) -> list[Value]:
    return [lanes.load(I32S, weights, 64 * g) for g in range(8)]


def _groups_int4(lanes: Lanes, weights: Value) -> list[Value]:
    b, low = lanes.builder, lanes.splat_whole(0x0F0F0F0F)
    pairs = [lanes.load(I32S, weights, 64 * g) for g in range(4)]
    upper = [b.and_(b.lshr(pair, lanes.splat_whole(4)), low) for pair in pairs]
    return [b.and_(pair, low) for pair in pairs] + upper


class Quantised:
    """Makes the program of one kind of weights."""

    def __init__(self, bytes_a_block: int, zero: int, groups: Callable[[Lanes, Value], list[Value]]) -> None:
        self.bytes_a_block, self.zero, self.groups = bytes_a_block, zero, groups

    def program(
        self,
        lanes: Lanes,
        panel: Value,
        x: Value,
        x_stride: Value,
        out: Value,
        out_stride: Value,
        n_blocks: Value,
        tokens: Value,
        add: Value,
    ) -> None:
        """Multiply by quantised weights; `x` is records."""
        pairs = lanes.builder.ashr(n_blocks, lanes.whole(1))

        def variant(m: int) -> None:
            rows = [lanes.move(x, lanes.times(x_stride, j)) for j in range(m)]
            scales = [lanes.move(row, lanes.times(n_blocks, BLOCK)) for row in rows]
            sums = [lanes.move(scale, lanes.times(n_blocks, 4)) for scale in scales]
            records = list(zip(rows, scales, sums, strict=True))

            def body(i: Value, acc: list[Value]) -> list[Value]:
                pair = lanes.move(panel, lanes.times(i, 64 + 2 * self.bytes_a_block))
                for half in range(2):
                    acc = self.block(lanes, pair, i, half, records, acc)
                return acc

            _finish(lanes, lanes.loop(pairs, [lanes.splat_real(0.0)] * m, body), out, out_stride, add)

        lanes.choose(tokens, TILE, variant)

    def block(
        self,
        lanes: Lanes,
        pair: Value,
        index: Value,
        half: int,
        records: list[tuple[Value, Value, Value]],
        acc: list[Value],
    ) -> list[Value]:
        """Add a block's products to the sums of all tokens: whole numbers first, then their scales."""
        b = lanes.builder
        number = lanes.move(lanes.times(index, 8), 4 * half)
        groups = self.groups(lanes, lanes.move(pair, 64 + half * self.bytes_a_block))
        zero = lanes.splat_whole(-self.zero)
        dots = [b.mul(lanes.spread(I32, sums, number), zero) for _, _, sums in records]
        for g, group in enumerate(groups):
            place = lanes.move(lanes.times(index, 2 * BLOCK), half * BLOCK + 4 * g)
            for j, (row, _, _) in enumerate(records):
                dots[j] = dot4(lanes, dots[j], group, lanes.spread(I32, row, place))
        w_scale = bfloat(lanes, lanes.load(I16S, pair, 32 * half))
        steps = [b.fmul(w_scale, lanes.spread(F32, scales, number)) for _, scales, _ in records]
        return [lanes.fma(lanes.real(dot), step, a) for dot, step, a in zip(dots, steps, acc, strict=True)]


def bfloat(lanes: Lanes, words: Value) -> Value:
    """Convert 16 bfloat16 to float32."""
    b = lanes.builder
    return b.bitcast(b.shl(b.zext(words, I32S), lanes.splat_whole(16)), F32S)


panel_int8 = lane_program("iiiiiiii")(Quantised(512, INT8_ZERO, _groups_int8).program)
panel_int4 = lane_program("iiiiiiii")(Quantised(256, INT4_ZERO, _groups_int4).program)
