"""Vectors of float64 lanes for kernels, lowered to one register of the CPU.

A buffer of vectors is a C-contiguous float64 array (rows, WIDTH); `load` and `store` move one row.
Arithmetic is that of IEEE float64 lane by lane, with the fused multiply-add spelled out: no lane ever
depends on its neighbours, so results do not change with what the other lanes hold.

Three forms of the same names: LLVM vectors; plain floats where WIDTH is 1 (`FORECAST_SIMD_WIDTH=1`),
so that LLVM sees ordinary scalar loops; NumPy rows where kernels run as plain Python. The last two round
a multiply-add twice where the CPU's rounds once, and agree to 1e-12.
"""

from __future__ import annotations

import operator
from typing import Any, TypeAlias

import numpy as np

from forecast.kernels._jit import (
    COMPILED,
    SIMD_WIDTH,
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
"""Lanes of a vector."""

Vec: TypeAlias = Any
"""WIDTH float64 lanes; has + - * / among its own kind."""

Node: TypeAlias = Any
"""What numba and LLVM hand to a code generator."""

# Rows of a buffer begin on a cache line: a 64-byte load across two lines costs twice.
_LINE = 64


def _row_pointer(context: Node, builder: Node, array_type: Node, array: Node, row: Node) -> Node:
    """Address of row `row` of an (n, WIDTH) array, as of a vector."""
    data = context.make_array(array_type)(context, builder, array).data
    offset = builder.mul(row, ir.Constant(row.type, WIDTH))
    address = builder.gep(data, [offset])
    return builder.bitcast(address, ir.VectorType(ir.DoubleType(), WIDTH).as_pointer())


def _vector_function(builder: Node, name: str, n_args: int) -> Node:
    """LLVM's function `name` on vectors, declared once a module."""
    vector, full = ir.VectorType(ir.DoubleType(), WIDTH), f"llvm.{name}.v{WIDTH}f64"
    known = builder.module.globals.get(full)
    return known or ir.Function(builder.module, ir.FunctionType(vector, [vector] * n_args), full)


if COMPILED and WIDTH > 1:

    class VecType(types.Type):
        """The numba type of a vector."""

        def __init__(self) -> None:
            super().__init__(name=f"Vec{WIDTH}")

    vec_type = VecType()
    _LANES = ir.VectorType(ir.DoubleType(), WIDTH)

    @register_model(VecType)
    class VecModel(models.PrimitiveModel):
        """A vector is one LLVM value."""

        def __init__(self, dmm: Node, fe_type: Node) -> None:
            super().__init__(dmm, fe_type, _LANES)  # type: ignore[no-untyped-call]  # numba has none

    @intrinsic
    def load(_typing: Node, buffer: Node, row: Node) -> Node:
        """Row `row` of an (n, WIDTH) buffer."""

        def codegen(context: Node, builder: Node, signature: Node, args: Node) -> Node:
            return builder.load(_row_pointer(context, builder, signature.args[0], *args), align=8)

        return vec_type(buffer, types.intp), codegen

    @intrinsic
    def store(_typing: Node, buffer: Node, row: Node, value: Node) -> Node:
        """Write row `row` of an (n, WIDTH) buffer."""

        def codegen(context: Node, builder: Node, signature: Node, args: Node) -> Node:
            at = _row_pointer(context, builder, signature.args[0], args[0], args[1])
            builder.store(args[2], at, align=8)
            return context.get_dummy_value()

        return types.void(buffer, types.intp, value), codegen

    @intrinsic
    def broadcast(_typing: Node, value: Node) -> Node:
        """Every lane `value`."""

        def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
            empty = ir.Constant(_LANES, ir.Undefined)
            one = builder.insert_element(empty, args[0], ir.Constant(ir.IntType(32), 0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
            return builder.shuffle_vector(one, empty, zeros)

        return vec_type(types.float64), codegen

    @intrinsic
    def fma(_typing: Node, a: Node, b: Node, c: Node) -> Node:
        """Lanes a b + c, rounded once."""

        def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
            return builder.call(_vector_function(builder, "fma", 3), args)

        return vec_type(a, b, c), codegen

    @intrinsic
    def fnma(_typing: Node, a: Node, b: Node, c: Node) -> Node:
        """Lanes c - a b, rounded once."""

        def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
            return builder.call(_vector_function(builder, "fma", 3), [builder.fneg(args[0]), *args[1:]])

        return vec_type(a, b, c), codegen

    @intrinsic
    def sqrt(_typing: Node, a: Node) -> Node:
        """Lanes of square roots."""

        def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
            return builder.call(_vector_function(builder, "sqrt", 1), args)

        return vec_type(a), codegen

    @intrinsic
    def select_greater(_typing: Node, a: Node, b: Node, yes: Node, no: Node) -> Node:
        """Lanes of `yes` where a > b, of `no` elsewhere (also where one of them is NaN)."""

        def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
            return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

        return vec_type(a, b, yes, no), codegen

    @intrinsic
    def lane(_typing: Node, a: Node, index: Node) -> Node:
        """One lane as a float."""

        def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
            return builder.extract_element(args[0], args[1])

        return types.float64(a, types.intp), codegen

    def _operator(name: str, symbol: Node) -> None:
        """Give vectors the operator `symbol`, by the LLVM instruction `name`."""

        @intrinsic
        def instruction(_typing: Node, a: Node, b: Node) -> Node:
            def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
                return getattr(builder, name)(*args)

            return vec_type(a, b), codegen

        def call(a: Node, b: Node) -> Node:
            return instruction(a, b)

        def implement(a: Node, b: Node) -> Node:
            return call if isinstance(a, VecType) and isinstance(b, VecType) else None

        overload(symbol)(implement)

    for _name, _symbol in (
        ("fadd", operator.add),
        ("fsub", operator.sub),
        ("fmul", operator.mul),
        ("fdiv", operator.truediv),
    ):
        _operator(_name, _symbol)

elif COMPILED:

    @kernel
    def load(buffer: F64, row: int) -> Vec:
        """Row `row` of an (n, 1) buffer."""
        return buffer[row, 0]

    @kernel
    def store(buffer: F64, row: int, value: Vec) -> None:
        """Write row `row` of an (n, 1) buffer."""
        buffer[row, 0] = value

    @kernel
    def broadcast(value: float) -> Vec:
        """Return `value`."""
        return value

    @kernel
    def fma(a: Vec, b: Vec, c: Vec) -> Vec:
        """Return a b + c."""
        return a * b + c

    @kernel
    def fnma(a: Vec, b: Vec, c: Vec) -> Vec:
        """Return c - a b."""
        return c - a * b

    @kernel
    def sqrt(a: Vec) -> Vec:
        """Return the square root."""
        return np.sqrt(a)

    @kernel
    def select_greater(a: Vec, b: Vec, yes: Vec, no: Vec) -> Vec:
        """Return `yes` where a > b, else `no`."""
        return yes if a > b else no

    @kernel
    def lane(a: Vec, index: int) -> float:
        """Return the only lane."""
        return float(a)

else:

    def load(buffer: F64, row: int) -> Vec:
        """Row `row` of an (n, WIDTH) buffer."""
        return buffer[row].copy()

    def store(buffer: F64, row: int, value: Vec) -> None:
        """Write row `row` of an (n, WIDTH) buffer."""
        buffer[row] = value

    def broadcast(value: float) -> Vec:
        """Every lane `value`."""
        return np.full(WIDTH, value)

    def fma(a: Vec, b: Vec, c: Vec) -> Vec:
        """Lanes a b + c."""
        return a * b + c

    def fnma(a: Vec, b: Vec, c: Vec) -> Vec:
        """Lanes c - a b."""
        return c - a * b

    def sqrt(a: Vec) -> Vec:
        """Lanes of square roots."""
        return np.sqrt(a)

    def select_greater(a: Vec, b: Vec, yes: Vec, no: Vec) -> Vec:
        """Lanes of `yes` where a > b, of `no` elsewhere."""
        return np.where(a > b, yes, no)

    def lane(a: Vec, index: int) -> float:
        """One lane as a float."""
        return float(a[index])


@kernel
def total(a: Vec) -> float:
    """Sum of the lanes, first to last."""
    acc = lane(a, 0)
    for k in range(1, WIDTH):
        acc += lane(a, k)
    return float(acc)


@kernel
def largest(a: Vec) -> float:
    """Largest lane; NaN lanes are passed over unless the first one is."""
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
