import numpy as np
import onnx
import pytest
from onnx import helper

from edge.check import OPERATORS, read, reading
from edge.errors import GateError
from edge.graph import builder
from tests.edge.check.models import Draft, ar_file

PHI = np.array([[0.5, 0.2], [0.1, -0.3]])


def test_a_good_file_is_described():
    found = read(ar_file(PHI).finish())
    assert found.ops == ("Gather", "Mul", "ReduceSum", "Unsqueeze")
    assert (found.opset, found.ir_version) == (21, 10)
    assert found.inputs == ("index", "lags")
    assert found.outputs == ("mean",)


def test_what_the_builder_may_use_is_on_the_checkers_own_list():
    assert builder.ALLOWED <= OPERATORS
    assert (builder.OPSET, builder.IR_VERSION) == (reading.OPSET, reading.IR_VERSION)


@pytest.mark.parametrize("data", [b"", b"\x00" * 50, b"not a model at all", b"PK\x03\x04rest"])
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(GateError):
        read(data)


def test_every_truncation_is_refused_or_harmless():
    data = ar_file(PHI).finish()
    for end in range(0, len(data), 7):
        with pytest.raises(GateError):
            read(data[:end])


def test_a_file_that_is_too_large_is_not_parsed(monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 100)
    with pytest.raises(GateError, match="at most 100"):
        read(ar_file(PHI).finish())
    monkeypatch.setattr(reading, "MOST_BYTES", 10_000)
    monkeypatch.setattr(reading, "MOST_NODES", 2)
    with pytest.raises(GateError, match="nodes"):
        read(ar_file(PHI).finish())


@pytest.mark.parametrize(("versions", "what"), [({"opset": 22}, "opset 21"), ({"ir": 11}, "IR version 11")])
def test_other_versions_are_refused(versions, what):
    with pytest.raises(GateError, match=what):
        read(ar_file(PHI).finish(**versions))


def test_another_domain_is_refused_wherever_it_stands():
    model = ar_file(PHI).model()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(GateError, match="microsoft"):
        read(model.SerializeToString())
    model = ar_file(PHI).model()
    model.graph.node[0].domain = "com.microsoft"
    with pytest.raises(GateError, match="domain"):
        read(model.SerializeToString())


def test_operators_off_the_list_are_refused():
    draft = ar_file(PHI)
    draft.do("Softmax", ["mean"], "soft")
    draft.give("soft", ["B", 1])
    with pytest.raises(GateError, match="Softmax"):
        read(draft.finish())


def test_data_in_another_file_are_refused():
    model = ar_file(PHI).model()
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(GateError, match="another file"):
        read(model.SerializeToString())
    model = ar_file(PHI).model()
    hidden = helper.make_tensor("t", onnx.TensorProto.DOUBLE, [1], [1.0])
    hidden.external_data.add(key="location", value="x")
    model.graph.node[0].attribute.append(helper.make_attribute("value", hidden))
    with pytest.raises(GateError, match="another file"):
        read(model.SerializeToString())


def test_graphs_inside_operators_functions_and_sparse_tensors_are_refused():
    inner = helper.make_graph([], "inner", [], [])
    model = ar_file(PHI).model()
    model.graph.node[0].attribute.append(helper.make_attribute("body", inner))
    with pytest.raises(GateError, match="graph of its own"):
        read(model.SerializeToString())
    model = ar_file(PHI).model()
    model.functions.add(name="f", domain="d")
    with pytest.raises(GateError, match="functions"):
        read(model.SerializeToString())
    model = ar_file(PHI).model()
    model.graph.sparse_initializer.add()
    with pytest.raises(GateError, match="sparse"):
        read(model.SerializeToString())


def test_a_graph_that_is_not_sound_is_refused():
    draft = Draft()
    draft.take("a", 11, [2])
    draft.do("Add", ["a", "nowhere"], "b")
    draft.give("b", [2])
    with pytest.raises(GateError, match="not sound"):
        read(draft.finish())
