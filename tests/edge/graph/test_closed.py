"""The file of one series: what is folded when it is loaded, and what it weighs."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from edge.fleet import Fleet
from edge.graph.model import forecast_model
from edge.psi import psi_weights
from tests.edge.graph.fleets import EXOG, inputs, plain_records, session
from tests.oracles import recursion
from tests.strategies import make_records


def test_phi_stands_in_the_file():
    records = plain_records(1, 5)
    model = onnx.load_from_string(forecast_model(Fleet.of(records), 4))
    found = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}["phi"]
    np.testing.assert_array_equal(found, records.phi)


def test_seasonal_phi_stands_in_the_file():
    records = make_records(1, phi=[0.2], seasonal_phi=[0.3, 0.1], season_length=4, levels=np.zeros((1, 9)))
    model = onnx.load_from_string(forecast_model(Fleet.of(records), 4))
    found = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}["seasonal_phi"]
    np.testing.assert_array_equal(found, [[0.3, 0.1]])


@pytest.mark.parametrize("levels", [(), (80, 95)])
def test_the_budget_in_bytes(levels):
    assert len(forecast_model(Fleet.of(plain_records(1, 24)), 24, levels)) <= 2600


def test_a_call_is_one_product(tmp_path):
    """All that follows from parameters is folded: the mean, one product and shapes are left."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "folded.onnx")
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(
        forecast_model(Fleet.of(plain_records(1, 24)), 24), options, ["CPUExecutionProvider"]
    )
    model = onnx.load(tmp_path / "folded.onnx")
    assert sorted(node.op_type for node in model.graph.node) == ["Add", "Expand", "Gemm", "Shape", "Sub"]


def test_psi_of_a_seasonal_model():
    records = make_records(
        1, phi=[0.4], seasonal_phi=[0.3], season_length=3, d=np.array([1], np.int32), levels=np.zeros((1, 5))
    )
    a = recursion.expand_ar([0.4], [0.3], 1, 0, 3)
    np.testing.assert_allclose(
        psi_weights(Fleet.of(records).a, np.zeros((1, 0)), 9)[0], recursion.psi(a, [], 9), rtol=1e-13
    )


def test_many_calls_at_once_are_the_same_as_one_by_one():
    records = make_records(
        1, phi=[0.4, 0.2], exog=EXOG[:3], beta=np.ones((1, 3)), exog_tail=np.ones((1, 2, 2))
    )
    fleet = Fleet.of(records)
    ran = session(forecast_model(fleet, 5, (80,)))
    call = inputs(fleet, np.zeros(6, int), 5)
    together = ran.run(None, call)
    for b in range(6):
        for whole, one in zip(
            together, ran.run(None, {k: v[b : b + 1] for k, v in call.items()}), strict=True
        ):
            np.testing.assert_allclose(one[0], whole[b], rtol=1e-13)
