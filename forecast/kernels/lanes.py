"""Vectors of several series: one lane each, the same instruction for all.

What autovectorisation makes of a short inner axis is slow (every array may alias every other), so the
vectors are said outright: a numba type that is an LLVM vector. Without the compiler (``NUMBA_DISABLE_JIT=1``)
they are short NumPy arrays. The order of operations within a lane is the same at any width; `fma` rounds once
where it is compiled, twice where it is not.
"""

# ruff: noqa: ANN401  # the types of numba and LLVM are not annotated
from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from forecast.kernels._jit import (
    COMPILED,
    SIMD_WIDTH,
    intrinsic,
    ir,
    models,
    overload,
    register_model,
    types,
)
from forecast.types import F64, I64

Vector: TypeAlias = Any
"""As many numbers as there are lanes."""

LANES = SIMD_WIDTH
"""Of float64."""
LANES32 = 2 * LANES
"""Of float32."""
_BYTES = 8 * LANES

_INT = ir.IntType(32)


class VectorType(types.Type):
    """The numba type of a vector."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.width = dtype, _BYTES // (dtype.bitwidth // 8)
        super().__init__(name=f"Vector({dtype}, {self.width})")


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """An LLVM vector, kept in a register."""

    def __init__(self, manager: Any, of: VectorType) -> None:
        element = ir.DoubleType() if of.dtype == types.float64 else ir.FloatType()
        super().__init__(manager, of, ir.VectorType(element, of.width))  # type: ignore[no-untyped-call]  # numba


def instruction(plain: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make an instruction of the function that types and builds it; `plain` does the same uncompiled."""
    return lambda typed: intrinsic(typed) if COMPILED else plain


def _address(context: Any, builder: Any, array: Any, data: Any, at: Any, pointer: Any) -> Any:
    """Pointer to element `at` of a contiguous array."""
    base = context.make_array(array)(context, builder, data).data
    return builder.bitcast(builder.gep(base, [at]), pointer)


def _declared(module: Any, kind: Any, name: str) -> Any:
    """Return the function of LLVM of that name."""
    return module.globals.get(name) or ir.Function(module, kind, name)


def _width(a: Any) -> int:
    return _BYTES // int(a.itemsize)


def _plain_load(a: F64, at: int) -> Vector:
    return a.reshape(-1)[at : at + _width(a)].copy()


@instruction(_plain_load)
def load(_: Any, a: Any, at: Any) -> Any:
    """Vector of the elements from flat position `at` of a contiguous array on."""
    made = VectorType(a.dtype)

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        pointer = context.get_value_type(made).as_pointer()
        where = _address(context, builder, signature.args[0], given[0], given[1], pointer)
        return builder.load(where, align=a.dtype.bitwidth // 8)

    return made(a, types.intp), build


def _plain_store(a: F64, at: int, v: Vector) -> None:
    a.reshape(-1)[at : at + _width(a)] = v


@instruction(_plain_store)
def store(_: Any, a: Any, at: Any, v: Any) -> Any:
    """Write a vector to a contiguous array from flat position `at` on."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        where = _address(context, builder, signature.args[0], given[0], given[1], given[2].type.as_pointer())
        builder.store(given[2], where, align=a.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(a, types.intp, v), build


def _plain_zero(a: F64) -> Vector:
    return np.zeros(_width(a), a.dtype)


@instruction(_plain_zero)
def zero(_: Any, a: Any) -> Any:
    """Vector of zeros for an array of this type."""
    made = VectorType(a.dtype)

    def build(context: Any, _: Any, __: Any, ___: Any) -> Any:
        return ir.Constant(context.get_value_type(made), [0.0] * made.width)

    return made(a), build


def _plain_prefetch(a: F64, at: int) -> None:
    """Nothing to do."""


@instruction(_plain_prefetch)
def prefetch(_: Any, a: Any, at: Any) -> Any:
    """Ask for the cache line of flat position `at`, which may lie beyond the array."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        where = _address(context, builder, signature.args[0], given[0], given[1], byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, _INT, _INT, _INT])
        ask = _declared(builder.module, kind, "llvm.prefetch.p0")
        # To read, into the second level, of data.
        builder.call(ask, [where, ir.Constant(_INT, 0), ir.Constant(_INT, 2), ir.Constant(_INT, 1)])
        return context.get_dummy_value()

    return types.void(a, types.intp), build


def _named(name: str) -> Callable[[Any, Any, Any, Any], Any]:
    """Code that calls an LLVM intrinsic of that name on vectors."""

    def build(_: Any, builder: Any, __: Any, given: Any) -> Any:
        vector = given[0].type
        kind = ir.FunctionType(vector, [vector] * len(given))
        whole = f"llvm.{name}.v{vector.count}{vector.element.intrinsic_name}"
        return builder.call(_declared(builder.module, kind, whole), given)

    return build


def _plain_fma(x: Vector, y: Vector, z: Vector) -> Vector:
    return x * y + z


@instruction(_plain_fma)
def fma(_: Any, x: Any, y: Any, z: Any) -> Any:
    """X y + z."""
    return x(x, x, x), _named("fma")


def _plain_root(x: Vector) -> Vector:
    return np.sqrt(x)


@instruction(_plain_root)
def root(_: Any, x: Any) -> Any:
    """Square root."""
    return x(x), _named("sqrt")


def _plain_transpose(a: F64, starts: I64, at: int, level: Vector, out: F64, to: int) -> None:
    width = _width(a)
    for r in range(width):
        for c in range(width):
            out.reshape(-1)[to + c * width + r] = a[starts[r] + at + c] - level[r]


@instruction(_plain_transpose)
def transpose(_: Any, a: Any, starts: Any, at: Any, level: Any, out: Any, to: Any) -> Any:
    """Turn one square: the points ``a[starts[r] + at + c]`` of lane r become row c of `out`, less `level`."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        vector, width = given[3].type, level.width
        begins = context.make_array(signature.args[1])(context, builder, given[1]).data
        rows = []
        for r in range(width):
            begin = builder.load(builder.gep(begins, [ir.Constant(given[2].type, r)]))
            where = _address(
                context,
                builder,
                signature.args[0],
                given[0],
                builder.add(begin, given[2]),
                vector.as_pointer(),
            )
            rows.append(builder.load(where, align=8))
        for r, row in enumerate(_turned(builder, rows)):
            where = builder.add(given[5], ir.Constant(given[5].type, r * width))
            where = _address(context, builder, signature.args[4], given[4], where, vector.as_pointer())
            builder.store(builder.fsub(row, given[3]), where, align=8)
        return context.get_dummy_value()

    return types.void(a, starts, types.intp, level, out, types.intp), build


def _turned(builder: Any, rows: Sequence[Any]) -> Sequence[Any]:
    """Transpose a square of vectors: blocks of 1, 2, 4, ... change places across the diagonal."""
    width, step = len(rows), 1
    while step < width:
        upper = [j + width - step if j & step else j for j in range(width)]
        lower = [j + width if j & step else j + step for j in range(width)]
        turned = list(rows)
        for r in range(width):
            if not r & step:
                pair = rows[r], rows[r + step]
                for place, order in ((r, upper), (r + step, lower)):
                    turned[place] = builder.shuffle_vector(
                        *pair, ir.Constant(ir.VectorType(_INT, width), order)
                    )
        rows, step = turned, step * 2
    return rows


def _arithmetic(operation: Callable[[Any, Any], Any], name: str) -> None:
    """Teach the compiler `operation` on two vectors: the LLVM instruction `name`."""

    @instruction(operation)
    def apply(_: Any, x: Any, y: Any) -> Any:
        def build(_: Any, builder: Any, __: Any, given: Any) -> Any:
            return getattr(builder, name)(*given)

        return x(x, x), build

    @overload(operation)
    def lower(x: Any, y: Any) -> Any:
        def implementation(x: Any, y: Any) -> Any:
            return apply(x, y)

        return implementation if isinstance(x, VectorType) and x == y else None


if COMPILED:
    for _operation, _name in (
        (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv"),
    ):  # fmt: skip
        _arithmetic(_operation, _name)
