"""The layer over onnx.helper."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edge.errors import GraphError
from edge.graph.builder import DOUBLE, INT64, Graph
from tests.edge.graph.fleets import session


def double(graph):
    return graph.input("x", DOUBLE, ["B", 2])


def test_a_graph_runs_and_passes_the_checker():
    graph = Graph("twice")
    graph.output("y", graph.add("Mul", double(graph), graph.number(2.0)), DOUBLE, ["B", 2])
    model = graph.model({"kind": "test"})
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (10, 21)
    assert [node.op_type for node in model.graph.node] == ["Mul"]  # it makes the output itself
    found = session(model.SerializeToString())
    assert found.get_modelmeta().custom_metadata_map == {"kind": "test"}
    np.testing.assert_array_equal(found.run(None, {"x": np.ones((3, 2))})[0], 2.0)


def test_equal_constants_are_stored_once_and_others_apart():
    graph = Graph()
    assert graph.ints([1, 2]) == graph.ints([1, 2])
    values = [
        graph.ints([1]), graph.whole(1), graph.number(1.0), graph.constant(np.ones(1)),
        graph.constant(np.ones(1, dtype=np.float32)), graph.constant(np.array([-0.0])),
        graph.constant(np.array([0.0])),
    ]  # fmt: skip
    assert len(set(values)) == len(values)


def test_a_named_constant_keeps_its_name_beside_a_twin():
    graph = Graph()
    plain, named = graph.number(1.0), graph.constant(np.array(1.0), "phi")
    assert (plain != named, named) == (True, "phi")
    assert graph.number(1.0) == plain


@pytest.mark.parametrize("idle", ["input", "constant", "node"])
def test_what_nothing_uses_is_refused(idle):
    graph = Graph()
    x = double(graph)
    graph.output("y", graph.add("Neg", x), DOUBLE, ["B", 2])
    if idle == "input":
        graph.input("t", INT64, ["B"])
    if idle == "constant":
        graph.number(3.0)
    if idle == "node":
        graph.add("Exp", x)
    with pytest.raises(GraphError, match="nothing uses"):
        graph.model()


def test_operators_and_names_are_checked():
    graph = Graph()
    x = double(graph)
    for op in ("Loop", "DequantizeLinear", "Cos"):
        with pytest.raises(GraphError, match=op):
            graph.add(op, x)
    with pytest.raises(GraphError, match="nothing has made"):
        graph.add("Neg", "nowhere")
    with pytest.raises(GraphError, match="are called 'x'"):
        graph.input("x", DOUBLE, ["B"])


def test_an_input_stored_or_shared_value_can_be_an_output():
    graph = Graph()
    x = double(graph)
    sine = graph.add("Sin", x)
    for name, value in (("a", x), ("b", graph.constant(np.ones((1, 2)))), ("c", sine), ("d", sine)):
        graph.output(name, value, DOUBLE, ["B", 2] if name != "b" else [1, 2])
    out = session(graph.model().SerializeToString()).run(None, {"x": np.zeros((3, 2))})
    assert [array.shape for array in out] == [(3, 2), (1, 2), (3, 2), (3, 2)]


def test_names_do_not_meet_inputs_declared_late():
    graph = Graph()
    x = graph.input("lags", DOUBLE, ["B"])
    for _ in range(1400):
        x = graph.add("Neg", x)
    graph.output("y", graph.add("Add", x, graph.input("x", DOUBLE, ["B"])), DOUBLE, ["B"])
    assert len(graph.model().graph.node) == 1401


def test_slices_and_splits():
    graph = Graph()
    x = graph.input("lags", DOUBLE, ["B", 5])
    first, rest = graph.split(x, [2, 3], axis=1)
    graph.output("back", graph.slice(x, -1, -6, axis=1, step=-1), DOUBLE, ["B", 5])
    graph.output("first", first, DOUBLE, ["B", 2])
    graph.output("rest", graph.slice(rest, 1, 3, axis=1), DOUBLE, ["B", 2])
    out = session(graph.model().SerializeToString()).run(None, {"lags": np.arange(5.0)[None, :]})
    assert [array.tolist() for array in out] == [[[4, 3, 2, 1, 0]], [[0, 1]], [[3, 4]]]
