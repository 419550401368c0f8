"""Code for vectors of 16 lanes, one register of AVX-512, two of AVX2, four of SSE or Neon.

A lane program is a Python function that emits LLVM instructions through a `Lanes`; `lane_program` makes it
callable from kernels. Addresses are whole numbers, sizes are in bytes. No instruction carries a fast-math
flag: the order of every sum is the one written here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from forecast.kernels._jit import cpu_features, intrinsic, ir, types

Value: TypeAlias = Any
"""An `llvmlite.ir.Value`; llvmlite and numba have no annotations."""

Kind: TypeAlias = Any
"""An `llvmlite.ir.Type`."""

Builder: TypeAlias = Any
Numba: TypeAlias = Any

FEATURES = cpu_features()
FUSED = bool(FEATURES & {"fma", "neon"})
"""The CPU rounds a multiply-add once; without, it is two instructions."""

WIDTH = 16
I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
F32 = ir.FloatType()
F32S = ir.VectorType(F32, WIDTH)
I32S = ir.VectorType(I32, WIDTH)
I16S = ir.VectorType(I16, WIDTH)
I8S = ir.VectorType(I8, WIDTH)

# 1.5 * 2^23: adding it leaves the rounded number in the low bits of a float32, on every CPU.
_ROUNDER = 12582912.0
_ROUNDER_BITS = 0x4B400000

_LOG2_E = 1.4426950408889634
# ln 2 in two parts: the first has few bits, so that n times it is exact.
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_EXP_LOWEST, _EXP_HIGHEST = -87.0, 88.0
# 1/k!, k = 7..0; on |r| <= ln(2)/2 the first term left out is below 6e-9.
_EXP_TERMS = (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0)


class Lanes:
    """Emits instructions where `builder` stands."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder

    def whole(self, value: int, kind: Kind = I64) -> Value:
        """Return a constant whole number."""
        return ir.Constant(kind, value)

    def splat_whole(self, value: int) -> Value:
        """Return 16 times the same 32-bit constant."""
        return ir.Constant(I32S, [value] * WIDTH)

    def splat_real(self, value: float) -> Value:
        """Return 16 times the same constant."""
        return ir.Constant(F32S, [value] * WIDTH)

    def move(self, address: Value, by: Value | int) -> Value:
        """Return an address so many bytes on."""
        return self.builder.add(address, self.whole(by) if isinstance(by, int) else by)

    def times(self, a: Value, b: Value | int) -> Value:
        """Return a product of whole numbers."""
        return self.builder.mul(a, self.whole(b) if isinstance(b, int) else b)

    def _pointer(self, address: Value, offset: Value | int, kind: Kind) -> Value:
        base = self.builder.inttoptr(address, I8.as_pointer())
        moved = self.builder.gep(base, [self.whole(offset) if isinstance(offset, int) else offset])
        return self.builder.bitcast(moved, kind.as_pointer())

    def load(self, kind: Kind, address: Value, offset: Value | int = 0) -> Value:
        """Read a number or a vector; any alignment."""
        return self.builder.load(self._pointer(address, offset, kind), align=1)

    def store(self, value: Value, address: Value, offset: Value | int = 0) -> None:
        """Write a number or a vector; any alignment."""
        self.builder.store(value, self._pointer(address, offset, value.type), align=1)

    def splat(self, scalar: Value) -> Value:
        """Copy a number to all 16 lanes."""
        kind = ir.VectorType(scalar.type, WIDTH)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, self.whole(0, I32))
        return self.builder.shuffle_vector(one, one, ir.Constant(I32S, [0] * WIDTH))

    def spread(self, kind: Kind, address: Value, offset: Value | int = 0) -> Value:
        """Read a number into all 16 lanes."""
        return self.splat(self.load(kind, address, offset))

    def call(self, name: str, result: Kind, arguments: Sequence[Value]) -> Value:
        """Call an LLVM intrinsic."""
        module = self.builder.module
        found = module.globals.get(name)
        kind = ir.FunctionType(result, [a.type for a in arguments])
        return self.builder.call(found or ir.Function(module, kind, name), arguments)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """Return a b + c."""
        if FUSED:
            suffix = f"v{WIDTH}f32" if isinstance(a.type, ir.VectorType) else "f32"
            return self.call(f"llvm.fma.{suffix}", a.type, [a, b, c])
        return self.builder.fadd(self.builder.fmul(a, b), c)

    def real(self, vector: Value) -> Value:
        """Convert signed whole numbers to float32."""
        return self.builder.sitofp(vector, F32S)

    def rounded(self, vector: Value) -> Value:
        """Convert float32 below 2^22 in size to the nearest 32-bit whole numbers, ties to even."""
        shifted = self.builder.fadd(vector, self.splat_real(_ROUNDER))
        return self.builder.sub(self.builder.bitcast(shifted, I32S), self.splat_whole(_ROUNDER_BITS))

    def larger(self, a: Value, b: Value) -> Value:
        """Return the maximum lane by lane; a NaN in `b` stays."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def smaller(self, a: Value, b: Value) -> Value:
        """Return the minimum lane by lane; a NaN in `b` stays."""
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)

    def fold(self, vector: Value, join: Callable[[Value, Value], Value]) -> Value:
        """Join all lanes to one number, halves with halves."""
        width = WIDTH
        while width > 1:
            width //= 2
            low, high = (
                self.builder.shuffle_vector(
                    vector, vector, ir.Constant(ir.VectorType(I32, width), list(range(start, start + width)))
                )
                for start in (0, width)
            )
            vector = join(low, high)
        return self.builder.extract_element(vector, self.whole(0, I32))

    def first(self, vector: Value) -> Value:
        """Return lane 0."""
        return self.builder.extract_element(vector, self.whole(0, I32))

    def total(self, vector: Value) -> Value:
        """Add all lanes."""
        return self.fold(vector, self.builder.fadd)

    def exp(self, x: Value) -> Value:
        """Return e^x to 2 units in the last place, exactly 1 at 0; x is cut to -87..88, a NaN stays."""
        x = self.larger(self.splat_real(_EXP_LOWEST), self.smaller(self.splat_real(_EXP_HIGHEST), x))
        power = self.rounded(self.builder.fmul(x, self.splat_real(_LOG2_E)))
        n = self.real(power)
        rest = self.fma(n, self.splat_real(-_LN2_HIGH), x)
        rest = self.fma(n, self.splat_real(-_LN2_LOW), rest)
        value = self.splat_real(_EXP_TERMS[0])
        for term in _EXP_TERMS[1:]:
            value = self.fma(value, rest, self.splat_real(term))
        exponent = self.builder.shl(self.builder.add(power, self.splat_whole(127)), self.splat_whole(23))
        return self.builder.fmul(value, self.builder.bitcast(exponent, F32S))

    def loop(
        self,
        count: Value,
        carried: Sequence[Value],
        body: Callable[[Value, list[Value]], Sequence[Value]],
    ) -> list[Value]:
        """Run ``carried = body(i, carried)`` for i in range(count), and return what is carried at the end."""
        b = self.builder
        before, inside, after = b.block, b.append_basic_block("each"), b.append_basic_block("done")
        b.cbranch(b.icmp_signed(">", count, self.whole(0)), inside, after)
        b.position_at_end(inside)
        index = b.phi(I64)
        held = [b.phi(value.type) for value in carried]
        found = list(body(index, list(held)))
        following = b.add(index, self.whole(1))
        index.add_incoming(self.whole(0), before)
        index.add_incoming(following, b.block)
        for phi, start, end in zip(held, carried, found, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(end, b.block)
        last = b.block
        b.cbranch(b.icmp_signed("<", following, count), inside, after)
        b.position_at_end(after)
        results = [b.phi(value.type) for value in carried]
        for phi, start, end in zip(results, carried, found, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(end, last)
        return results

    def unless(self, known: Value, value: Value, otherwise: Callable[[], Value]) -> Value:
        """Return `value` where `known` is true; else run what `otherwise` emits."""
        b = self.builder
        before, inside, after = b.block, b.append_basic_block("unknown"), b.append_basic_block("known")
        b.cbranch(known, after, inside)
        b.position_at_end(inside)
        computed = otherwise()
        last = b.block
        b.branch(after)
        b.position_at_end(after)
        result = b.phi(value.type)
        result.add_incoming(value, before)
        result.add_incoming(computed, last)
        return result

    def choose(self, value: Value, most: int, body: Callable[[int], None]) -> None:
        """Run ``body(value)``, emitted once for each of 1..most; nothing for other values."""
        b = self.builder
        after = b.append_basic_block("chosen")
        switch = b.switch(value, after)
        for case in range(1, most + 1):
            block = b.append_basic_block(f"case{case}")
            switch.add_case(self.whole(case), block)
            b.position_at_end(block)
            body(case)
            b.branch(after)
        b.position_at_end(after)


_KINDS = {"i": types.int64, "f": types.float32}


def lane_program(arguments: str, result: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function that emits instructions callable from kernels.

    Parameters
    ----------
    arguments
        A letter for each: "i" whole numbers and addresses, "f" float32.
    result
        A letter, or nothing.
    """
    given = tuple(_KINDS[letter] for letter in arguments)
    returned = _KINDS[result] if result else types.void

    def decorate(program: Callable[..., Any]) -> Callable[..., Any]:
        def typed(_typing: Numba, *_arguments: Numba) -> Numba:
            def codegen(context: Numba, builder: Builder, _signature: Numba, values: Value) -> Value:
                value = program(Lanes(builder), *values)
                return value if result else context.get_dummy_value()

            return returned(*given), codegen

        # Numba reads how many arguments there are from the signature, and their names from the program.
        named = list(inspect.signature(program).parameters.values())
        typed.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]  # functions take any
        typed.__name__ = typed.__qualname__ = program.__name__
        typed.__doc__ = program.__doc__
        typed.__module__ = program.__module__
        made: Callable[..., Any] = intrinsic(typed)
        return made

    return decorate
