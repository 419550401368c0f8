"""The gate on answers: what differs is named, an interval near 0 is measured by the whole band."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from edge.bundle.holding import hold, steady, wide_bands
from edge.errors import GateError


def model(**factors) -> bytes:
    """A file whose outputs are (lags @ 1) times a factor each; lo and hi with an axis of levels."""
    nodes, outputs, tables = [], [], []
    for name, factor in factors.items():
        tables.append(helper.make_tensor(f"f{name}", TensorProto.DOUBLE, [], [factor]))
        last = f"raw{name}" if name in ("lo", "hi") else name
        nodes.append(helper.make_node("Mul", ["lags", f"f{name}"], [last]))
        if last != name:
            nodes.append(helper.make_node("Unsqueeze", [last, "axis"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.DOUBLE, None))
    tables.append(helper.make_tensor("axis", TensorProto.INT64, [1], [1]))
    lags = helper.make_tensor_value_info("lags", TensorProto.DOUBLE, ["B", 2])
    graph = helper.make_graph(nodes, "g", [lags], outputs, tables)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(made.SerializeToString())


LAGS = np.arange(1.0, 5001.0)[:, None] * np.ones(2)  # more rows than one call takes
INPUTS = {"lags": LAGS}


def references(lo=1e-9):
    return {"mean": LAGS, "lo": lo * LAGS[:, None], "hi": 2 * LAGS[:, None]}


def test_the_largest_error_of_all_rows_is_told():
    assert hold("m", model(mean=1.0, lo=1e-9, hi=2.0), INPUTS, references(), 1e-6) == 0.0
    wrong = {**references(), "mean": LAGS.copy()}
    wrong["mean"][4999, 1] *= 1 + 1e-5
    with pytest.raises(GateError, match="m: mean differs from the library by 1e-05 of its size"):
        hold("m", model(mean=1.0, lo=1e-9, hi=2.0), INPUTS, wrong, 1e-6)
    assert hold("m", model(mean=1.0, lo=1e-9, hi=2.0), INPUTS, wrong, 1e-4) == pytest.approx(1e-5, rel=1e-3)


def test_an_end_near_zero_is_measured_by_the_band_and_not_given_to_devices():
    data = model(mean=1.0, lo=2e-9, hi=2.0)
    assert hold("m", data, INPUTS, references(), 1e-6) == pytest.approx(5e-10, rel=1e-3)
    assert steady(data, INPUTS, references(), 1e-6) == ["mean", "hi"]
    assert steady(data, INPUTS, references(2e-9), 1e-6) == ["mean", "lo", "hi"]
    with pytest.raises(GateError, match="lo differs"):
        hold("m", model(mean=1.0, lo=1e-3, hi=2.0), INPUTS, references(), 1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_has_to_be_the_same(value):
    wrong = {**references(), "mean": LAGS.copy(), "lo": references()["lo"].copy()}
    wrong["mean"][3, 0] = value
    with pytest.raises(GateError, match="mean differs"):
        hold("m", model(mean=1.0, lo=1e-9, hi=2.0), INPUTS, wrong, 1e-6)
    wrong["mean"][3, 0], wrong["lo"][3, 0, 1] = LAGS[3, 0], value
    with pytest.raises(GateError, match="lo differs"):
        hold("m", model(mean=1.0, lo=1e-9, hi=2.0), INPUTS, wrong, 1e-6)


def test_inputs_and_outputs_have_to_be_there():
    with pytest.raises(GateError, match=r"also needs the inputs \['lags'\]"):
        hold("m", model(mean=1.0), {"t": LAGS}, {"mean": LAGS}, 1e-6)
    with pytest.raises(GateError, match="has no output 'variance'"):
        hold("m", model(mean=1.0), INPUTS, {"mean": LAGS, "variance": LAGS}, 1e-6)
    with pytest.raises(GateError, match="cannot run on these inputs"):
        hold("m", model(mean=1.0), {"lags": LAGS.astype(np.float32)}, {"mean": LAGS}, 1e-6)
    with pytest.raises(GateError, match="cannot load"):
        hold("m", b"nonsense", INPUTS, {"mean": LAGS}, 1e-6)


def test_rows_off_in_their_intervals_alone_are_found():
    data = model(mean=1.0, lo=1e-9, hi=2.0)
    assert not len(wide_bands(data, INPUTS, references(), 1e-6))
    wide = {**references(), "hi": references()["hi"].copy()}
    wide["hi"][[7, 4000]] *= 1 + 1e-5
    assert wide_bands(data, INPUTS, wide, 1e-6).tolist() == [7, 4000]
    wrong = {**wide, "mean": LAGS.copy()}
    wrong["mean"][4999, 1] *= 1 + 1e-5  # a fault of the file: nothing is excused
    assert not len(wide_bands(data, INPUTS, wrong, 1e-6))
