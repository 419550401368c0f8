"""A few queries against 16 keys: the inside of attention.

Keys and values of one head lie in tiles of 16 places: keys column by column, (head, 16), so that a lane is a
place; values in panels of 16 columns, (head / 16, 16, 16), so that a lane is a column. Heads are padded with
zeros to a multiple of 16. Float32, or signed bytes with a float32 step for every place.

Scores exist for a span of four tiles at a time. Source: Milakov and Gimelshein (2018), *Online normalizer
calculation for softmax*.
"""

from __future__ import annotations

from collections.abc import Callable

from decoding.kernels.lanes import F32, F32S, I8S, I32, I32S, WIDTH, Lanes, Value, lane_program
from decoding.kernels.panels import TILE
from forecast.kernels._jit import ir

PLACES = WIDTH
"""Places of a tile."""

SPAN_TILES = 4
"""Tiles whose scores are softened at once. Spans begin at multiples of it from a sequence's start."""

SPAN_BYTES = SPAN_TILES * PLACES * 4
"""From the scores of one query to those of the next."""

STATE_BYTES = 16
"""Of a query, in float32: largest score and sum so far, the factor that `rescale` takes; one unused."""

# Sums of a score that run side by side: one would wait for itself.
_PARTS = 2
_UNROLLED = 4


def _reader(is_bytes: bool) -> tuple[int, Callable[[Lanes, Value, Value | int], Value]]:
    """Return the bytes of 16 stored numbers, and how to read them as float32."""
    if is_bytes:
        return WIDTH, lambda lanes, address, at: lanes.real(
            lanes.builder.sext(lanes.load(I8S, address, at), I32S)
        )
    return 4 * WIDTH, lambda lanes, address, at: lanes.load(F32S, address, at)


def _score(is_bytes: bool) -> Callable[..., None]:
    size, read = _reader(is_bytes)

    def program(
        lanes: Lanes,
        keys: Value,
        steps: Value,
        q: Value,
        q_stride: Value,
        scores: Value,
        head: Value,
        queries: Value,
    ) -> None:
        b = lanes.builder

        def variant(m: int) -> None:
            rows = [lanes.move(q, lanes.times(q_stride, j)) for j in range(m)]

            def body(i: Value, acc: list[Value]) -> list[Value]:
                acc = list(acc)
                for k in range(_UNROLLED):
                    column = read(lanes, keys, lanes.move(lanes.times(i, size * _UNROLLED), size * k))
                    at = lanes.move(lanes.times(i, 4 * _UNROLLED), 4 * k)
                    for j in range(m):
                        part = k % _PARTS * m + j
                        acc[part] = lanes.fma(column, lanes.spread(F32, rows[j], at), acc[part])
                return acc

            count = b.sdiv(head, lanes.whole(_UNROLLED))
            found = lanes.loop(count, [lanes.splat_real(0.0)] * (_PARTS * m), body)
            for j in range(m):
                value = _joined(found[j::m], b.fadd)
                if is_bytes:
                    value = b.fmul(value, lanes.load(F32S, steps))
                lanes.store(value, scores, SPAN_BYTES * j)

        lanes.choose(queries, TILE, variant)

    return program


def _mix(is_bytes: bool) -> Callable[..., None]:
    size, read = _reader(is_bytes)

    def program(
        lanes: Lanes,
        values: Value,
        shares: Value,
        out: Value,
        out_stride: Value,
        panels: Value,
        places: Value,
        queries: Value,
    ) -> None:
        def variant(m: int) -> None:
            rows = [lanes.move(out, lanes.times(out_stride, j)) for j in range(m)]

            def panel(p: Value, _: list[Value]) -> list[Value]:
                tile = lanes.move(values, lanes.times(p, size * WIDTH))
                at = lanes.times(p, 4 * WIDTH)

                def place(t: Value, acc: list[Value]) -> list[Value]:
                    row = read(lanes, tile, lanes.times(t, size))
                    offsets = [lanes.move(lanes.times(t, 4), SPAN_BYTES * j) for j in range(m)]
                    return [lanes.fma(row, lanes.spread(F32, shares, offsets[j]), acc[j]) for j in range(m)]

                before = [lanes.load(F32S, row, at) for row in rows]
                for j, value in enumerate(lanes.loop(places, before, place)):
                    lanes.store(value, rows[j], at)
                return []

            lanes.loop(panels, [], panel)

        lanes.choose(queries, TILE, variant)

    return program


score_f32 = lane_program("iiiiiii")(_score(is_bytes=False))
"""(keys, steps, q, q_stride, scores, head, queries): write the products of queries with 16 keys."""
score_int8 = lane_program("iiiiiii")(_score(is_bytes=True))
mix_f32 = lane_program("iiiiiii")(_mix(is_bytes=False))
"""(values, shares, out, out_stride, panels, places, queries): out += shares @ values."""
mix_int8 = lane_program("iiiiiii")(_mix(is_bytes=True))


@lane_program("ii")
def begin(lanes: Lanes, state: Value, _unused: Value) -> None:
    """Set a query's state to that of no keys."""
    lanes.store(ir.Constant(F32, float("-inf")), state)
    lanes.store(ir.Constant(F32, 0.0), state, 4)


@lane_program("iifii")
def soften(lanes: Lanes, scores: Value, state: Value, scale: Value, valid: Value, tiles: Value) -> None:
    """Turn the scores of a span into shares, in place, and move the query's state on.

    Parameters
    ----------
    valid
        Only so many places count; the others' shares are 0.
    tiles
        How many tiles of the span have scores, 1..4.
    """
    b = lanes.builder
    before, total = lanes.load(F32, state), lanes.load(F32, state, 4)
    end = lanes.splat(b.trunc(valid, I32))

    def variant(n: int) -> None:
        found, counts = [], []
        for tile in range(n):
            places = ir.Constant(I32S, list(range(tile * WIDTH, (tile + 1) * WIDTH)))
            counts.append(b.icmp_signed("<", places, end))
            scaled = b.fmul(lanes.load(F32S, scores, 4 * WIDTH * tile), lanes.splat(scale))
            found.append(b.select(counts[-1], scaled, lanes.splat_real(float("-inf"))))
        top = lanes.larger(before, lanes.fold(_joined(found, lanes.larger), lanes.larger))
        # Exactly 1 where no new score is the largest, as e^0 would be.
        factor = lanes.unless(
            b.fcmp_ordered("==", top, before),
            ir.Constant(F32, 1.0),
            lambda: lanes.first(lanes.exp(lanes.splat(b.fsub(before, top)))),
        )
        shares = []
        for tile in range(n):
            power = lanes.exp(b.fsub(found[tile], lanes.splat(top)))
            shares.append(b.select(counts[tile], power, lanes.splat_real(0.0)))
            lanes.store(shares[-1], scores, 4 * WIDTH * tile)
        lanes.store(top, state)
        lanes.store(b.fadd(b.fmul(total, factor), lanes.total(_joined(shares, b.fadd))), state, 4)
        lanes.store(factor, state, 8)

    lanes.choose(tiles, SPAN_TILES, variant)


def _joined(vectors: list[Value], join: Callable[[Value, Value], Value]) -> Value:
    together = vectors[0]
    for vector in vectors[1:]:
        together = join(vector, together)
    return together


@lane_program("iii")
def rescale(lanes: Lanes, out: Value, state: Value, n16: Value) -> None:
    """Multiply a query's answer so far by the factor that `soften` left."""
    b = lanes.builder
    factor = lanes.load(F32, state, 8)
    count = b.select(b.fcmp_ordered("==", factor, ir.Constant(F32, 1.0)), lanes.whole(0), n16)

    def body(i: Value, _: list[Value]) -> list[Value]:
        at = lanes.times(i, 64)
        lanes.store(b.fmul(lanes.load(F32S, out, at), lanes.splat(factor)), out, at)
        return []

    lanes.loop(count, [], body)


@lane_program("iii")
def apply_steps(lanes: Lanes, shares: Value, steps: Value, queries: Value) -> None:
    """Multiply the shares of one tile by the steps of its values."""

    def body(i: Value, _: list[Value]) -> list[Value]:
        at = lanes.times(i, SPAN_BYTES)
        scaled = lanes.builder.fmul(lanes.load(F32S, shares, at), lanes.load(F32S, steps))
        lanes.store(scaled, shares, at)
        return []

    lanes.loop(queries, [], body)
