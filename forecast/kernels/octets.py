"""Vectors of eight float32 lanes, whatever the CPU: for state whose parts are eight numbers side by side.

`forecast.kernels.simd` makes vectors as wide as the registers of the CPU are; these are as wide as the data.
Every operation rounds lane by lane as IEEE says, so that NumPy on rows of float32 finds the same bits.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forecast.kernels._jit import Node, ir, types
from forecast.kernels.simd import VecType, address, instruction

F32: TypeAlias = NDArray[np.float32]

LANES = 8

Octet: TypeAlias = Any
"""LANES lanes of float32; has + - * / among its own kind."""

_INT = ir.IntType(32)


def _plain_load(array: F32, at: int) -> Octet:
    return array.reshape(-1)[at : at + LANES].copy()


def _plain_store(array: F32, at: int, value: Octet) -> None:
    array.reshape(-1)[at : at + LANES] = value


@instruction(_plain_load)
def load(_typing: Node, array: Node, at: Node) -> Node:
    """Eight lanes from flat position `at` of a contiguous float32 array."""

    def codegen(context: Node, builder: Node, signature: Node, args: Node) -> Node:
        pointer = context.get_value_type(signature.return_type).as_pointer()
        where = address(context, builder, signature.args[0], args[0], args[1], pointer)
        return builder.load(where, align=4)

    return VecType(types.float32, LANES)(array, types.intp), codegen


@instruction(_plain_store)
def store(_typing: Node, array: Node, at: Node, value: Node) -> Node:
    """Write eight lanes from flat position `at` of a contiguous float32 array on."""

    def codegen(context: Node, builder: Node, signature: Node, args: Node) -> Node:
        pointer = args[2].type.as_pointer()
        where = address(context, builder, signature.args[0], args[0], args[1], pointer)
        builder.store(args[2], where, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@instruction(lambda value: np.full(LANES, value, np.float32))
def spread(_typing: Node, value: Node) -> Node:
    """Every lane `value`, a float32."""

    def codegen(context: Node, builder: Node, signature: Node, args: Node) -> Node:
        empty = ir.Constant(context.get_value_type(signature.return_type), ir.Undefined)
        one = builder.insert_element(empty, args[0], ir.Constant(_INT, 0))
        return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(_INT, LANES), [0] * LANES))

    return VecType(types.float32, LANES)(types.float32), codegen


@instruction(lambda a: np.where(a > 0, a, np.float32(0)))
def positive(_typing: Node, a: Node) -> Node:
    """Lanes of `a` above 0, and 0 elsewhere (also where NaN)."""

    def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
        zero = ir.Constant(args[0].type, None)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), args[0], zero)

    return a(a), codegen


@instruction(lambda a, b: int(np.packbits(a >= b, bitorder="little")[0]))
def reaching(_typing: Node, a: Node, b: Node) -> Node:
    """Whole number whose bit k says whether lane k of `a` is at least that of `b`."""

    def codegen(_context: Node, builder: Node, _signature: Node, args: Node) -> Node:
        bits = builder.bitcast(builder.fcmp_ordered(">=", args[0], args[1]), ir.IntType(LANES))
        return builder.zext(bits, ir.IntType(64))

    return types.int64(a, a), codegen
