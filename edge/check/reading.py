"""Reading a graph that nobody vouches for: size, structure, operators, no data elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import onnx
from google.protobuf.message import DecodeError

from edge.errors import GateError

# A fleet of 100,000 series in the largest form is 240 MB; a parser should not be fed more.
MOST_BYTES: Final = 512 * 1024 * 1024
MOST_NODES: Final = 100_000

# What onnxruntime 1.19 reads.
OPSET: Final = 21
IR_VERSION: Final = 10

# The checker's own list, so that an operator which the builder lets pass by mistake is found. Each has a CPU
# kernel from onnxruntime 1.19 on, and one answer on every CPU but for rounding; no control flow.
OPERATORS: Final = frozenset(
    {
        "Add", "And", "Cast", "Concat", "ConstantOfShape", "CumSum", "Div", "Equal", "Exp", "Expand",
        "Floor", "Gather", "GatherElements", "Gemm", "Greater", "GreaterOrEqual", "Identity", "IsNaN",
        "Less", "LessOrEqual", "Log", "MatMul", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pad",
        "Range", "ReduceMax", "ReduceSum", "Reshape", "Shape", "Sin", "Slice", "Split", "Sqrt", "Squeeze",
        "Sub", "Sum", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds."""

    n_bytes: int
    opset: int
    ir_version: int
    ops: tuple[str, ...]
    """Operators, sorted."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    model: onnx.ModelProto


def read(data: bytes) -> Contents:
    """Parse a model and refuse what no bundle may hold.

    Raises
    ------
    GateError
        Too large, not a model, another opset or IR version, operators off the list, other domains, functions,
        subgraphs, sparse tensors, or tensors whose data lie outside the file.
    """
    if len(data) > MOST_BYTES:
        raise GateError(f"the model has {len(data)} bytes, at most {MOST_BYTES} are read; split the fleet")
    model = _parsed(data)
    _check_frame(model)
    graph = model.graph
    if len(graph.node) > MOST_NODES:
        raise GateError(f"the graph has {len(graph.node)} nodes, at most {MOST_NODES} are read")
    for node in graph.node:
        _check_node(node)
    for tensor in graph.initializer:
        _check_tensor(tensor)
    if graph.sparse_initializer:
        raise GateError("the graph has sparse tensors; store them dense")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        TypeError,
        ValueError,
    ) as error:
        raise GateError(f"the graph is not sound: {_line(error)}") from None
    return Contents(
        len(data), OPSET, IR_VERSION, tuple(sorted({node.op_type for node in graph.node})),
        tuple(v.name for v in graph.input), tuple(v.name for v in graph.output), model,
    )  # fmt: skip


def _parsed(data: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise GateError(f"{len(data)} bytes are not an ONNX model: {_line(error)}") from None
    if not model.graph.node:
        raise GateError(f"{len(data)} bytes hold no graph")
    return model


def _check_frame(model: onnx.ModelProto) -> None:
    sets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if sets != {"ai.onnx": OPSET}:
        raise GateError(f"the model is written for {sets}, it must be for opset {OPSET} of ai.onnx alone")
    if model.ir_version != IR_VERSION:
        raise GateError(f"the model has IR version {model.ir_version}, it must be {IR_VERSION}")
    if model.functions or model.training_info:
        raise GateError("the model has functions or training graphs; only a plain graph is allowed")


def _check_node(node: onnx.NodeProto) -> None:
    if node.domain not in ("", "ai.onnx"):
        raise GateError(f"operator {node.op_type!r} is of the domain {node.domain!r}, which devices lack")
    if node.op_type not in OPERATORS:
        raise GateError(f"operator {node.op_type!r} is not on the list of those that every device has")
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs:
            raise GateError(f"operator {node.op_type!r} holds a graph of its own")
        if attribute.HasField("t"):
            _check_tensor(attribute.t)
        for tensor in attribute.tensors:
            _check_tensor(tensor)
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
            raise GateError(f"operator {node.op_type!r} holds a sparse tensor; store it dense")


def _check_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_location != onnx.TensorProto.DEFAULT or tensor.external_data:
        raise GateError(f"the data of tensor {tensor.name!r} lie in another file; store them in the model")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
