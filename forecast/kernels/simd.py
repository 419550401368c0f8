"""Vectors of lanes for kernels: one series, or one set of parameters, a lane; one register of the CPU each.

What autovectorisation makes of a short inner axis is slow (every array may alias every other), so the
vectors are said outright, as a numba type that is an LLVM vector: `WIDTH` lanes of float64, `WIDTH32` of
float32. A buffer of vectors is a C-contiguous array; `load` and `store` move row `row` of (n, WIDTH)
float64, `load_at` and `store_at` what begins at a flat position, of either precision.

Arithmetic is that of IEEE lane by lane, with the fused multiply-add spelled out: no lane ever depends on
its neighbours, so results do not change with what the other lanes hold, nor with the width. Where kernels
run as plain Python the vectors are NumPy rows; a multiply-add is then rounded twice, and agrees to 1e-12.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from forecast.kernels._jit import (
    COMPILED,
    SIMD_WIDTH,
    Node,
    intrinsic,
    ir,
    kernel,
    models,
    overload,
    register_model,
    types,
)
from forecast.types import F64

WIDTH: int = SIMD_WIDTH
"""Lanes of a float64 vector."""

WIDTH32: int = 2 * WIDTH
"""Lanes of a float32 vector."""

Vec: TypeAlias = Any
"""WIDTH float64 lanes, or WIDTH32 of float32; has + - * / among its own kind."""

# Rows of a buffer begin on a cache line: a 64-byte load across two lines costs twice.
_LINE = 64

_INT = ir.IntType(32)


class VecType(types.Type):
    """The numba type of a vector."""

    def __init__(self, dtype: Node, width: int) -> None:
        self.dtype, self.width = dtype, width
        super().__init__(name=f"Vec({dtype}, {width})")


@register_model(VecType)
class VecModel(models.PrimitiveModel):
    """A vector is one LLVM value."""

    def __init__(self, dmm: Node, fe_type: VecType) -> None:
        element = ir.DoubleType() if fe_type.dtype == types.float64 else ir.FloatType()
        super().__init__(dmm, fe_type, ir.VectorType(element, fe_type.width))  # type: ignore[no-untyped-call]


def vector_of(dtype: Node) -> VecType:
    """Return the type of vectors of numba's float64 or float32."""
    return VecType(dtype, WIDTH * 64 // dtype.bitwidth)


def instruction(plain: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make an instruction of the function that types and builds it; `plain` does the same uncompiled."""
    return lambda typed: intrinsic(typed) if COMPILED else plain


def address(context: Node, builder: Node, array_type: Node, array: Node, at: Node, pointer: Node) -> Node:
    """Build the address of flat position `at` of a contiguous array, as an LLVM `pointer`."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), pointer)


def _declared(builder: Node, kind: Node, name: str) -> Node:
    """LLVM's function of that name, declared once a module."""
    return builder.module.globals.get(name) or ir.Function(builder.module, kind, name)


def _named(name: str) -> Callable[..., Node]:
    """Code that calls LLVM's function `name` on vectors."""

    def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
        vector = args[0].type
        full = f"llvm.{name}.v{vector.count}{vector.element.intrinsic_name}"
        return builder.call(_declared(builder, ir.FunctionType(vector, [vector] * len(args)), full), args)

    return codegen


def _loader(scale: int) -> Callable[..., Node]:
    """Code that loads from position `scale` times the index."""

    def codegen(context: Node, builder: Node, signature: Node, args: Node) -> Node:
        at = builder.mul(args[1], ir.Constant(args[1].type, scale))
        pointer = context.get_value_type(signature.return_type).as_pointer()
        where = address(context, builder, signature.args[0], args[0], at, pointer)
        return builder.load(where, align=signature.args[0].dtype.bitwidth // 8)

    return codegen


def _storer(scale: int) -> Callable[..., Node]:
    """Code that stores at position `scale` times the index."""

    def codegen(context: Node, builder: Node, signature: Node, args: Node) -> Node:
        at = builder.mul(args[1], ir.Constant(args[1].type, scale))
        where = address(context, builder, signature.args[0], args[0], at, args[2].type.as_pointer())
        builder.store(args[2], where, align=signature.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return codegen


def _plain_load_at(array: F64, at: int) -> Vec:
    return array.reshape(-1)[at : at + WIDTH * 8 // array.itemsize].copy()


def _plain_store_at(array: F64, at: int, value: Vec) -> None:
    array.reshape(-1)[at : at + len(value)] = value


def _plain_store(buffer: F64, row: int, value: Vec) -> None:
    _plain_store_at(buffer, row * WIDTH, value)


@instruction(_plain_load_at)
def load_at(_typing: Node, array: Node, at: Node) -> Node:
    """Vector that begins at flat position `at` of a contiguous array, float64 or float32."""
    return vector_of(array.dtype)(array, types.intp), _loader(1)


@instruction(_plain_store_at)
def store_at(_typing: Node, array: Node, at: Node, value: Node) -> Node:
    """Write a vector to a contiguous array from flat position `at` on."""
    return types.void(array, types.intp, vector_of(array.dtype)), _storer(1)


@instruction(lambda buffer, row: _plain_load_at(buffer, row * WIDTH))
def load(_typing: Node, buffer: Node, row: Node) -> Node:
    """Row `row` of a float64 buffer (n, WIDTH), or of one whose leading axes make n rows."""
    return vector_of(types.float64)(buffer, types.intp), _loader(WIDTH)


@instruction(_plain_store)
def store(_typing: Node, buffer: Node, row: Node, value: Node) -> Node:
    """Write row `row` of a float64 buffer (n, WIDTH), or of one whose leading axes make n rows."""
    return types.void(buffer, types.intp, vector_of(types.float64)), _storer(WIDTH)


def _plain_prefetch(array: F64, at: int) -> None:
    """Nothing to do."""


@instruction(_plain_prefetch)
def prefetch(_typing: Node, array: Node, at: Node) -> Node:
    """Ask for the cache line of flat position `at`, which may lie beyond the array."""

    def codegen(context: Node, builder: Node, signature: Node, args: Node) -> Node:
        byte = ir.IntType(8).as_pointer()
        where = address(context, builder, signature.args[0], args[0], args[1], byte)
        ask = _declared(builder, ir.FunctionType(ir.VoidType(), [byte, _INT, _INT, _INT]), "llvm.prefetch.p0")
        # To read, into the second level, of data.
        builder.call(ask, [where, ir.Constant(_INT, 0), ir.Constant(_INT, 2), ir.Constant(_INT, 1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen


@instruction(lambda value: np.full(WIDTH, value))
def broadcast(_typing: Node, value: Node) -> Node:
    """Every one of WIDTH lanes `value`."""

    def codegen(context: Node, builder: Node, signature: Node, args: Node) -> Node:
        empty = ir.Constant(context.get_value_type(signature.return_type), ir.Undefined)
        one = builder.insert_element(empty, args[0], ir.Constant(_INT, 0))
        zeros = ir.Constant(ir.VectorType(_INT, WIDTH), [0] * WIDTH)
        return builder.shuffle_vector(one, empty, zeros)

    return vector_of(types.float64)(types.float64), codegen


@instruction(lambda a, b, c: a * b + c)
def fma(_typing: Node, a: Node, b: Node, c: Node) -> Node:
    """Lanes a b + c, rounded once."""
    return a(a, a, a), _named("fma")


@instruction(lambda a, b, c: c - a * b)
def fnma(_typing: Node, a: Node, b: Node, c: Node) -> Node:
    """Lanes c - a b, rounded once."""

    def codegen(context: Node, builder: Node, signature: Node, args: Node) -> Node:
        return _named("fma")(context, builder, signature, [builder.fneg(args[0]), *args[1:]])

    return a(a, a, a), codegen


@instruction(np.sqrt)
def sqrt(_typing: Node, a: Node) -> Node:
    """Lanes of square roots."""
    return a(a), _named("sqrt")


@instruction(lambda a, b, yes, no: np.where(a > b, yes, no))
def select_greater(_typing: Node, a: Node, b: Node, yes: Node, no: Node) -> Node:
    """Lanes of `yes` where a > b, of `no` elsewhere (also where one of them is NaN)."""

    def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return a(a, a, a, a), codegen


@instruction(lambda a, index: float(a[index]))
def lane(_typing: Node, a: Node, index: Node) -> Node:
    """One lane as a number."""

    def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
        return builder.extract_element(args[0], args[1])

    return a.dtype(a, types.intp), codegen


@instruction(lambda before, now: np.concatenate([before[-1:], now[:-1]]))
def behind(_typing: Node, before: Node, now: Node) -> Node:
    """Lanes of `now` one further on, after the last lane of `before`: a row of vectors one step later."""

    def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
        n = args[0].type.count
        order = ir.Constant(ir.VectorType(_INT, n), list(range(n - 1, 2 * n - 1)))
        return builder.shuffle_vector(args[0], args[1], order)

    return before(before, before), codegen


def _arithmetic(symbol: Callable[[Any, Any], Any], name: str) -> None:
    """Give vectors the operator `symbol`, by the LLVM instruction `name`."""

    @instruction(symbol)
    def apply(_typing: Node, a: Node, b: Node) -> Node:
        def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
            return getattr(builder, name)(*args)

        return a(a, a), codegen

    @overload(symbol)
    def implement(a: Node, b: Node) -> Node:
        def call(a: Node, b: Node) -> Node:
            return apply(a, b)

        return call if isinstance(a, VecType) and a == b else None


if COMPILED:
    _arithmetic(operator.add, "fadd")
    _arithmetic(operator.sub, "fsub")
    _arithmetic(operator.mul, "fmul")
    _arithmetic(operator.truediv, "fdiv")


@kernel
def total(a: Vec) -> float:
    """Sum of the lanes of a float64 vector, first to last."""
    acc = lane(a, 0)
    for k in range(1, WIDTH):
        acc += lane(a, k)
    return float(acc)


@kernel
def largest(a: Vec) -> float:
    """Largest lane of a float64 vector; NaN lanes are passed over unless the first one is."""
    top = lane(a, 0)
    for k in range(1, WIDTH):
        top = max(top, lane(a, k))
    return float(top)


@kernel
def buffer(rows: int) -> F64:
    """(rows, WIDTH) zeros that begin on a cache line."""
    raw = np.zeros(rows * WIDTH + _LINE // 8)
    skip = (_LINE - raw.ctypes.data % _LINE) % _LINE // 8
    return raw[skip : skip + rows * WIDTH].reshape(rows, WIDTH)
