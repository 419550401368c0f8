"""The lag polynomials that a graph decodes, for all its series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.check.poles import F64
from edge.check.reading import IR_VERSION, OPSET, Contents
from edge.check.session import open_session
from edge.errors import GateError

PHI: Final = "phi"
SEASONAL_PHI: Final = "seasonal_phi"
INDEX: Final = "index"

# Series decoded in one call.
_CHUNK: Final = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Coefficients as the graph computes them, one row a series, or one that all series share."""

    phi: F64
    """(n, p)"""
    seasonal_phi: F64
    """(n, P), (n, 0) where the graph has no such factor."""


def decode(contents: Contents) -> Decoded:
    """Run the graph up to `phi` and `seasonal_phi`, for every series in the file.

    Raises
    ------
    GateError
        There is no tensor `phi`, it depends on data, or its rows cannot be counted.
    """
    phi = _tensor(contents.model.graph, PHI)
    if phi is None:
        raise GateError(f"the graph has no tensor {PHI!r} from which poles could be read")
    seasonal = _tensor(contents.model.graph, SEASONAL_PHI)
    if seasonal is None:
        return Decoded(phi, np.zeros((len(phi), 0)))
    n = max(len(phi), len(seasonal))
    return Decoded(_rows(phi, n), _rows(seasonal, n))


def _rows(matrix: F64, n: int) -> F64:
    if len(matrix) not in (1, n):
        raise GateError(f"the factors have {len(matrix)} and {n} rows")
    return np.repeat(matrix, n, axis=0) if len(matrix) < n else matrix


def _tensor(graph: onnx.GraphProto, name: str) -> F64 | None:
    """Return a tensor of the graph for all series as float64, None where there is no such tensor."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    if name in stored:
        return _matrix(numpy_helper.to_array(stored[name]), name)
    nodes, inputs = _ancestors(graph, name)
    if not nodes:
        return None
    if inputs - {INDEX}:
        raise GateError(
            f"tensor {name!r} depends on the inputs {sorted(inputs - {INDEX})}, not on codes alone"
        )
    session = open_session(_cut(graph, nodes, inputs, name))
    if not inputs:
        return _matrix(session.run([name], {})[0], name)
    n = _count(graph)
    parts = [
        _matrix(session.run([name], {INDEX: np.arange(first, min(first + _CHUNK, n))})[0], name)
        for first in range(0, n, _CHUNK)
    ]
    # What does not depend on the row after all comes back once a call.
    return np.concatenate(parts) if sum(map(len, parts)) == n else parts[0]


def _ancestors(graph: onnx.GraphProto, name: str) -> tuple[list[onnx.NodeProto], set[str]]:
    """Return the nodes that `name` is computed from, in order, and the inputs of the graph it needs."""
    wanted, kept = {name}, []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1], wanted & {value.name for value in graph.input}


def _cut(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], inputs: set[str], name: str) -> bytes:
    """Return the model that ends at `name`: the same nodes and tensors, nothing else."""
    used = {i for node in nodes for i in node.input}
    part = helper.make_graph(
        nodes, "part", [v for v in graph.input if v.name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, None)],
        [tensor for tensor in graph.initializer if tensor.name in used],
    )  # fmt: skip
    model = helper.make_model(part, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    data: bytes = model.SerializeToString()
    return data


def _count(graph: onnx.GraphProto) -> int:
    """Return the number of series: the rows of the tables that are read at `index` itself.

    Tables of one class of series are shorter, and read at a row computed from `index`.
    """
    stored = {tensor.name: int(tensor.dims[0]) for tensor in graph.initializer if tensor.dims}
    sizes = {
        stored[node.input[0]]
        for node in graph.node
        if node.op_type == "Gather" and node.input[1] == INDEX and node.input[0] in stored
    }
    if len(sizes) != 1:
        raise GateError(
            f"tables read at {INDEX!r} have {sorted(sizes)} rows; the number of series is unclear"
        )
    return sizes.pop()


def _matrix(array: NDArray[Any], name: str) -> F64:
    if array.ndim != 2 or array.dtype != np.float64:
        raise GateError(
            f"tensor {name!r} is {array.dtype} of shape {array.shape}, it must be float64 (series, lags)"
        )
    return array
