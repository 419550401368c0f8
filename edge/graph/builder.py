"""A thin layer over onnx.helper: what every exported graph is made with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.errors import GraphError

# onnxruntime 1.19 reads up to opset 21 and IR 10; newer ones read these too.
OPSET: Final = 21
IR_VERSION: Final = 10

# Operators with a CPU kernel for the types used here in every onnxruntime from 1.19. Not among them, on
# purpose: QuantizeLinear, DequantizeLinear, MatMulNBits (kernels differ by CPU), Loop and Scan (slow), Cos
# (not in float64).
ALLOWED: Final = frozenset(
    {
        "Add", "And", "Cast", "Concat", "ConstantOfShape", "CumSum", "Div", "Equal", "Exp",
        "Expand", "Floor", "Gather", "GatherElements", "Gemm", "Greater", "GreaterOrEqual",
        "Identity", "IsNaN", "Less", "LessOrEqual", "Log", "MatMul", "Max", "Min", "Mod", "Mul",
        "Neg", "Not", "Or", "Pad", "Range", "ReduceMax", "ReduceSum", "Reshape", "Shape", "Sin",
        "Slice", "Split",
        "Sqrt", "Squeeze", "Sub", "Sum", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip

DOUBLE: Final = int(TensorProto.DOUBLE)
INT64: Final = int(TensorProto.INT64)

Value: TypeAlias = str
"""The name of a tensor in a graph."""

# Names of the interface that the numbering of tensors would come to.
_RESERVED: Final = frozenset({"t", "x", "y", "z", "lo", "hi", "cov", "phi"})

# Onnxruntime leaves out a sum with 0 and a product with 1. It reads the number as float32: 1e-50 is 0 to it,
# and 1 + 1e-9 is 1. Nearer than this it may be wrong.
_NEUTRAL: Final = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0}
_MISREAD: Final = 1e-6

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
Shape: TypeAlias = Sequence[int | str]


@dataclass(slots=True)
class Graph:
    """A graph under construction; tensors are named by the builder, as short as can be."""

    name: str = "g"
    _nodes: list[onnx.NodeProto] = field(default_factory=list)
    _constants: dict[tuple[str, tuple[int, ...], bytes], Value] = field(default_factory=dict)
    _initializers: list[onnx.TensorProto] = field(default_factory=list)
    _inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    _outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _idle: set[str] = field(default_factory=set)
    _numbers: dict[Value, float] = field(default_factory=dict)
    _count: int = 0

    def input(self, name: str, kind: int, shape: Shape, idle: bool = False) -> Value:
        """Declare an input; a text in `shape` is a size known at run time, `idle` that it may go unused."""
        self._take(name)
        if idle:
            self._idle.add(name)
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, name: str, value: Value, kind: int, shape: Shape) -> None:
        """Declare `value` an output called `name`."""
        self._take(name)
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, kind, list(shape)))

    def constant(self, array: NDArray[Any], name: str | None = None) -> Value:
        """Store an array, once: the same type, shape and bytes give the same value.

        A named one is stored under its name, for readers that look for it, even where it has a twin.
        """
        plain = np.ascontiguousarray(array).reshape(np.shape(array))
        key = (plain.dtype.str, plain.shape, plain.tobytes())
        if name is None and key in self._constants:
            return self._constants[key]
        value = self._fresh() if name is None else self._take(name)
        self._initializers.append(numpy_helper.from_array(plain, value))
        self._constants.setdefault(key, value)
        if plain.size == 1 and plain.dtype == np.float64:
            self._numbers[value] = float(plain.item())
        return value

    def add(
        self, op: str, *inputs: Value, name: str | None = None, **attributes: int | Sequence[int]
    ) -> Value:
        """Add a node with one output and return it; `name` fixes its name, for readers that look for it."""
        if op in _NEUTRAL and any(self._taken_for_neutral(op, value) for value in inputs):
            op, inputs = self._unmistakable(op, *inputs)
        return self._node(op, inputs, [self._fresh() if name is None else self._take(name)], attributes)[0]

    def split(self, value: Value, sizes: Sequence[int], axis: int) -> list[Value]:
        """Cut a tensor along an axis into parts of the given sizes."""
        outputs = [self._fresh() for _ in sizes]
        return self._node("Split", [value, self.ints(sizes)], outputs, {"axis": axis})

    def ints(self, values: Sequence[int]) -> Value:
        """Store a vector of int64: axes, sizes, bounds."""
        return self.constant(np.array(values, dtype=np.int64))

    def number(self, value: float) -> Value:
        """Store a float64 without dimensions."""
        return self.constant(np.array(value, dtype=np.float64))

    def whole(self, value: int) -> Value:
        """Store an int64 without dimensions."""
        return self.constant(np.array(value, dtype=np.int64))

    def slice(self, value: Value, first: int, last: int, axis: int, step: int = 1) -> Value:
        """Take `first` to `last` along one axis, as Python does."""
        bounds = [self.ints([k]) for k in (first, last, axis)]
        return self.add("Slice", value, *bounds, *([self.ints([step])] if step != 1 else []))

    def cast(self, value: Value, kind: int) -> Value:
        """Convert to another type."""
        return self.add("Cast", value, to=kind)

    def shield(self, value: Value) -> Value:
        """Keep a product or quotient with a single number away from the MatMul beside it; return `value`.

        Onnxruntime would take that number into the MatMul as an attribute, which is float32: 1e-8 would be
        lost of float64. A sum of one stops it.
        """
        return self.add("Sum", value)

    def model(self, meta: Mapping[str, str] | None = None) -> onnx.ModelProto:
        """Finish.

        Parameters
        ----------
        meta
            Becomes `metadata_props`, which devices read without the onnx package.

        Raises
        ------
        GraphError
            Something was made that nothing uses: an input, a constant or the output of a node.
        """
        nodes = self._without_identities()
        self._check_used(nodes)
        _name_parts(nodes)
        graph = helper.make_graph(nodes, self.name, self._inputs, self._outputs, self._initializers)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name=""
        )
        for key, text in (meta or {}).items():
            model.metadata_props.add(key=key, value=text)
        return model

    def _without_identities(self) -> list[onnx.NodeProto]:
        """Let the node that makes an output make it under its name.

        The identity stays where a value is an input, or stored, or two outputs at once.
        """
        given = {v.name for v in self._inputs} | {tensor.name for tensor in self._initializers}
        outputs = {v.name for v in self._outputs}
        renamed: dict[Value, Value] = {}
        kept = []
        for node in self._nodes:
            value, out = node.input[0] if node.input else "", node.output[0]
            if (
                out in outputs
                and node.op_type == "Identity"
                and value not in (given | outputs | renamed.keys())
            ):
                renamed[value] = out
            else:
                kept.append(node)
        return [_renamed(node, renamed) for node in kept]

    def _taken_for_neutral(self, op: str, value: Value) -> bool:
        """Whether onnxruntime would leave the operation out, for it reads single numbers as float32."""
        number, neutral = self._numbers.get(value), _NEUTRAL[op]
        return number is not None and number != neutral and bool(abs(number - neutral) < _MISREAD)

    def _unmistakable(self, op: str, left: Value, right: Value) -> tuple[str, tuple[Value, ...]]:
        """Return an operation of the same result that is never left out."""
        if op == "Add":
            return "Sum", (left, right)
        if op == "Sub":
            return "Sum", (left, self.add("Neg", right))
        # Twice the factor is not near 1, and to halve is exact.
        if self._taken_for_neutral(op, left):
            return "Mul", (self.add(op, self.add("Add", left, left), right), self.number(0.5))
        return op, (self.add(op, left, self.add("Add", right, right)), self.number(0.5))

    def _check_used(self, nodes: Sequence[onnx.NodeProto]) -> None:
        used = {name for node in nodes for name in node.input} | {v.name for v in self._outputs}
        made = [v.name for v in self._inputs] + [t.name for t in self._initializers]
        made += [name for node in nodes for name in node.output]
        idle = [name for name in made if name not in used and name not in self._idle]
        if idle:
            raise GraphError(f"graph {self.name!r}: nothing uses {idle[:5]}; do not make it")

    def _node(
        self,
        op: str,
        inputs: Sequence[Value],
        outputs: list[Value],
        attributes: Mapping[str, int | Sequence[int]],
    ) -> list[Value]:
        if op not in ALLOWED:
            raise GraphError(f"operator {op!r} is not on the list of those that every device has")
        unknown = [name for name in inputs if name and name not in self._names]
        if unknown:
            raise GraphError(f"operator {op!r} reads {unknown}, which nothing has made")
        node = helper.make_node(op, list(inputs), outputs)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self._nodes.append(node)
        return outputs

    def _fresh(self) -> Value:
        while True:
            name, rest = "", self._count
            self._count += 1
            while True:
                name, rest = _DIGITS[rest % 36] + name, rest // 36
                if not rest:
                    break
            if name not in self._names and name not in _RESERVED:
                return self._take(name)

    def _take(self, name: str) -> Value:
        if name in self._names:
            raise GraphError(f"two tensors of graph {self.name!r} are called {name!r}")
        self._names.add(name)
        return name


def _name_parts(nodes: Sequence[onnx.NodeProto]) -> None:
    """Name the nodes that take parts of one tensor.

    Onnxruntime 1.19 and 1.20 make one Split of them and derive its name from theirs: two without names are
    then two nodes of one name, which is an error.
    """
    parts = [node for node in nodes if node.op_type in ("Gather", "Slice")]
    taken = Counter(node.input[0] for node in parts)
    for node in parts:
        if taken[node.input[0]] > 1:
            node.name = node.output[0]


def _renamed(node: onnx.NodeProto, names: Mapping[Value, Value]) -> onnx.NodeProto:
    out = onnx.NodeProto()
    out.CopyFrom(node)
    for ends in (out.input, out.output):
        for i, name in enumerate(ends):
            ends[i] = names.get(name, name)
    return out
