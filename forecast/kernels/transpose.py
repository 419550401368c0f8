"""Series side by side in memory, turned into lanes in registers."""

from __future__ import annotations

from collections.abc import Sequence

from forecast.kernels._jit import Node, ir, types
from forecast.kernels.simd import WIDTH, Vec, address, instruction
from forecast.types import F64, I64


def _plain_transpose(a: F64, starts: I64, at: int, level: Vec, out: F64, row: int) -> None:
    for r in range(WIDTH):
        for c in range(WIDTH):
            out[row + c, r] = a[starts[r] + at + c] - level[r]


@instruction(_plain_transpose)
def transpose(_typing: Node, a: Node, starts: Node, at: Node, level: Node, out: Node, row: Node) -> Node:
    """Turn one square: the points ``a[starts[r] + at + c]`` of lane r become row ``row + c`` of `out`.

    `level` is subtracted on the way; `a` and `out` (n, WIDTH) are float64.
    """

    def codegen(context: Node, builder: Node, signature: Node, args: Node) -> Node:
        vector, pointer = args[3].type, args[3].type.as_pointer()
        begins = context.make_array(signature.args[1])(context, builder, args[1]).data
        rows = []
        for r in range(WIDTH):
            begin = builder.add(builder.load(builder.gep(begins, [_like(args[2], r)])), args[2])
            where = address(context, builder, signature.args[0], args[0], begin, pointer)
            rows.append(builder.load(where, align=8))
        for r, turned in enumerate(_turned(builder, rows)):
            to = builder.mul(builder.add(args[5], _like(args[5], r)), _like(args[5], vector.count))
            where = address(context, builder, signature.args[4], args[4], to, pointer)
            builder.store(builder.fsub(turned, args[3]), where, align=8)
        return context.get_dummy_value()

    return types.void(a, starts, types.intp, level, out, types.intp), codegen


def _like(value: Node, number: int) -> Node:
    """Return a constant of the type of `value`."""
    return ir.Constant(value.type, number)


def _turned(builder: Node, rows: Sequence[Node]) -> Sequence[Node]:
    """Transpose a square of vectors: blocks of 1, 2, 4, ... change places across the diagonal."""
    width, step = len(rows), 1
    mask = ir.VectorType(ir.IntType(32), width)
    while step < width:
        upper = [j + width - step if j & step else j for j in range(width)]
        lower = [j + width if j & step else j + step for j in range(width)]
        turned = list(rows)
        for r in range(width):
            if not r & step:
                pair = rows[r], rows[r + step]
                turned[r] = builder.shuffle_vector(*pair, ir.Constant(mask, upper))
                turned[r + step] = builder.shuffle_vector(*pair, ir.Constant(mask, lower))
        rows, step = turned, step * 2
    return rows
