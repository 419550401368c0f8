"""One row of activations: norm, quantisation, gating; and single numbers in memory."""

from __future__ import annotations

from decoding.kernels.lanes import F32, F32S, I8, I8S, I16, I32, I64, WIDTH, Kind, Lanes, Value, lane_program
from forecast.kernels._jit import ir

# Signed bytes without -128: the range is the same on both sides.
_BYTE_MAX = 127.0


@lane_program("i", "f")
def peek_f32(lanes: Lanes, address: Value) -> Value:
    """Read a float32."""
    return lanes.load(F32, address)


@lane_program("if")
def poke_f32(lanes: Lanes, address: Value, value: Value) -> None:
    """Write a float32."""
    lanes.store(value, address)


@lane_program("i", "i")
def peek_u8(lanes: Lanes, address: Value) -> Value:
    """Read a byte."""
    return lanes.builder.zext(lanes.load(I8, address), I64)


@lane_program("ii")
def poke_u8(lanes: Lanes, address: Value, value: Value) -> None:
    """Write the low byte of a number."""
    lanes.store(lanes.builder.trunc(value, I8), address)


@lane_program("i", "i")
def peek_i64(lanes: Lanes, address: Value) -> Value:
    """Read an int64."""
    return lanes.load(I64, address)


@lane_program("i", "i")
def peek_i32(lanes: Lanes, address: Value) -> Value:
    """Read an int32."""
    return lanes.builder.sext(lanes.load(I32, address), I64)


@lane_program("ii")
def poke_i64(lanes: Lanes, address: Value, value: Value) -> None:
    """Write an int64."""
    lanes.store(value, address)


@lane_program("i", "f")
def peek_bf16(lanes: Lanes, address: Value) -> Value:
    """Read a bfloat16."""
    b = lanes.builder
    word = b.zext(lanes.load(I16, address), I32)
    return b.bitcast(b.shl(word, lanes.whole(16, I32)), F32)


def _square_sum(lanes: Lanes, x: Value, n16: Value) -> Value:
    def body(i: Value, acc: list[Value]) -> list[Value]:
        value = lanes.load(F32S, x, lanes.times(i, 64))
        return [lanes.fma(value, value, acc[0])]

    return lanes.total(lanes.loop(n16, [lanes.splat_real(0.0)], body)[0])


@lane_program("iiiiff")
def normalise(lanes: Lanes, x: Value, weight: Value, out: Value, n16: Value, size: Value, eps: Value) -> None:
    """Write x / sqrt(mean(x^2) + eps) * weight, over `size` numbers padded with zeros to 16 `n16`.

    Source: Zhang and Sennrich (2019), *Root mean square layer normalization*.
    """
    b = lanes.builder
    mean = b.fdiv(_square_sum(lanes, x, n16), size)
    root = lanes.call("llvm.sqrt.f32", F32, [b.fadd(mean, eps)])
    factor = lanes.splat(b.fdiv(ir.Constant(F32, 1.0), root))

    def body(i: Value, _: list[Value]) -> list[Value]:
        at = lanes.times(i, 64)
        scaled = b.fmul(lanes.load(F32S, x, at), factor)
        lanes.store(b.fmul(scaled, lanes.load(F32S, weight, at)), out, at)
        return []

    lanes.loop(n16, [], body)


def _largest(lanes: Lanes, vectors: list[Value]) -> Value:
    sizes = [lanes.call(f"llvm.fabs.v{WIDTH}f32", F32S, [v]) for v in vectors]
    top = sizes[0]
    for size in sizes[1:]:
        top = lanes.larger(size, top)
    return lanes.fold(top, lanes.larger)


def _bytes(lanes: Lanes, top: Value) -> tuple[Value, Value]:
    """Return the step for a range of -top..top, and its inverse; 0 and 0 where top is too small to invert."""
    b = lanes.builder
    inverse = b.fdiv(ir.Constant(F32, _BYTE_MAX), top)
    usable = b.fcmp_ordered(">", top, ir.Constant(F32, 1e-36))
    zero = ir.Constant(F32, 0.0)
    return b.select(usable, b.fdiv(top, ir.Constant(F32, _BYTE_MAX)), zero), b.select(usable, inverse, zero)


@lane_program("iii")
def quantise(lanes: Lanes, x: Value, record: Value, n_blocks: Value) -> None:
    """Write the record of a row: signed bytes, scales, sums of bytes (see `decoding.kernels.panels`)."""
    b = lanes.builder
    scales = lanes.move(record, lanes.times(n_blocks, 2 * WIDTH))
    sums = lanes.move(scales, lanes.times(n_blocks, 4))

    def body(i: Value, _: list[Value]) -> list[Value]:
        vectors = [lanes.load(F32S, x, lanes.move(lanes.times(i, 128), 64 * h)) for h in range(2)]
        step, inverse = _bytes(lanes, _largest(lanes, vectors))
        whole = [lanes.rounded(b.fmul(v, lanes.splat(inverse))) for v in vectors]
        for h, values in enumerate(whole):
            lanes.store(b.trunc(values, I8S), record, lanes.move(lanes.times(i, 2 * WIDTH), WIDTH * h))
        at = lanes.times(i, 4)
        lanes.store(step, scales, at)
        lanes.store(lanes.fold(b.add(whole[0], whole[1]), b.add), sums, at)
        return []

    lanes.loop(n_blocks, [], body)


@lane_program("iii", "f")
def quantise_head(lanes: Lanes, x: Value, out: Value, n16: Value) -> Value:
    """Write a row of 16 `n16` numbers as signed bytes, and return their common step."""
    b = lanes.builder

    def widest(i: Value, top: list[Value]) -> list[Value]:
        size = lanes.call(f"llvm.fabs.v{WIDTH}f32", F32S, [lanes.load(F32S, x, lanes.times(i, 64))])
        return [lanes.larger(size, top[0])]

    top = lanes.fold(lanes.loop(n16, [lanes.splat_real(0.0)], widest)[0], lanes.larger)
    step, inverse = _bytes(lanes, top)

    def body(i: Value, _: list[Value]) -> list[Value]:
        scaled = b.fmul(lanes.load(F32S, x, lanes.times(i, 64)), lanes.splat(inverse))
        lanes.store(b.trunc(lanes.rounded(scaled), I8S), out, lanes.times(i, WIDTH))
        return []

    lanes.loop(n16, [], body)
    return step


@lane_program("iii")
def gate(lanes: Lanes, x: Value, up: Value, out: Value) -> None:
    """Write silu(x) up for 16 numbers, silu(x) = x / (1 + e^-x)."""
    b = lanes.builder
    value = lanes.load(F32S, x)
    lower = b.fadd(lanes.exp(b.fsub(lanes.splat_real(-0.0), value)), lanes.splat_real(1.0))
    lanes.store(b.fmul(b.fdiv(value, lower), lanes.load(F32S, up)), out)


@lane_program("iifi")
def add_scaled(lanes: Lanes, x: Value, y: Value, factor: Value, n16: Value) -> None:
    """Add `factor` times y to x, in place, over 16 `n16` numbers."""

    def body(i: Value, _: list[Value]) -> list[Value]:
        at = lanes.times(i, 64)
        total = lanes.fma(lanes.splat(factor), lanes.load(F32S, y, at), lanes.load(F32S, x, at))
        lanes.store(total, x, at)
        return []

    lanes.loop(n16, [], body)


@lane_program("iiii")
def take_head(lanes: Lanes, x: Value, bias: Value, out: Value, size: Value) -> None:
    """Write x + bias for `size` numbers."""
    b = lanes.builder
    n16 = b.ashr(size, lanes.whole(4))

    def step(kind: Kind, at: Value) -> list[Value]:
        lanes.store(b.fadd(lanes.load(kind, x, at), lanes.load(kind, bias, at)), out, at)
        return []

    lanes.loop(n16, [], lambda i, _: step(F32S, lanes.times(i, 64)))
    done = lanes.times(n16, WIDTH)
    rest = b.sub(size, done)
    lanes.loop(rest, [], lambda i, _: step(F32, lanes.times(b.add(done, i), 4)))


@lane_program("ifii")
def put_head(lanes: Lanes, x: Value, divisor: Value, out: Value, size: Value) -> None:
    """Write x / divisor for `size` numbers."""
    b = lanes.builder
    n16 = b.ashr(size, lanes.whole(4))

    def step(kind: Kind, by: Value, at: Value) -> list[Value]:
        lanes.store(b.fdiv(lanes.load(kind, x, at), by), out, at)
        return []

    wide = lanes.splat(divisor)
    lanes.loop(n16, [], lambda i, _: step(F32S, wide, lanes.times(i, 64)))
    done = lanes.times(n16, WIDTH)
    rest = b.sub(size, done)
    lanes.loop(rest, [], lambda i, _: step(F32, divisor, lanes.times(b.add(done, i), 4)))


@lane_program("iiii")
def rotate(lanes: Lanes, x: Value, cosines: Value, sines: Value, half: Value) -> None:
    """Rotate the pairs (x[i], x[i + half]) in place; `half` numbers each of cosines and sines.

    Source: Su et al. (2021), *RoFormer*, in the order of halves that Llama checkpoints are stored in.
    """
    b = lanes.builder
    n16 = b.ashr(half, lanes.whole(4))
    upper = lanes.move(x, lanes.times(half, 4))

    def step(kind: Kind, at: Value) -> list[Value]:
        low, high = lanes.load(kind, x, at), lanes.load(kind, upper, at)
        cosine, sine = lanes.load(kind, cosines, at), lanes.load(kind, sines, at)
        lanes.store(b.fsub(b.fmul(low, cosine), b.fmul(high, sine)), x, at)
        lanes.store(b.fadd(b.fmul(high, cosine), b.fmul(low, sine)), upper, at)
        return []

    lanes.loop(n16, [], lambda i, _: step(F32S, lanes.times(i, 64)))
    done = lanes.times(n16, WIDTH)
    lanes.loop(b.sub(half, done), [], lambda i, _: step(F32, lanes.times(b.add(done, i), 4)))


@lane_program("iii")
def copy_rows(lanes: Lanes, x: Value, out: Value, n16: Value) -> None:
    """Copy 16 `n16` float32."""

    def body(i: Value, _: list[Value]) -> list[Value]:
        at = lanes.times(i, 64)
        lanes.store(lanes.load(F32S, x, at), out, at)
        return []

    lanes.loop(n16, [], body)


@lane_program("ii")
def clear(lanes: Lanes, out: Value, n16: Value) -> None:
    """Write 16 `n16` float32 zeros."""

    def body(i: Value, _: list[Value]) -> list[Value]:
        lanes.store(lanes.splat_real(0.0), out, lanes.times(i, 64))
        return []

    lanes.loop(n16, [], body)
