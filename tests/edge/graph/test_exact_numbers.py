"""Numbers that multiply a MatMul stay float64: onnxruntime has room for 24 bits of them."""

from __future__ import annotations

import numpy as np
import pytest

from edge.fleet import Fleet
from edge.graph.model import forecast_model
from edge.graph.step import step_model
from tests.edge.graph.fleets import session
from tests.strategies import make_records

THIRD = 1.0 / 3.0


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("transform", [0, 1])
def test_scale_of_both_graphs(n, horizon, transform):
    records = make_records(n, phi=[THIRD], scale=3.3, transform=transform)
    fleet = Fleet.of(records)
    y = np.full((n, 1), 1.234567)
    w = np.log(y / 3.3) if transform else y / 3.3
    path = w * THIRD ** np.arange(1, horizon + 1)
    expected = np.exp(path) * 3.3 if transform else path * 3.3
    index = {"index": np.arange(n)} if n > 1 else {}
    mean = session(forecast_model(fleet, horizon)).run(["mean"], {"lags": y, **index})[0]
    np.testing.assert_allclose(mean, expected, rtol=1e-14)
    tick = {"y": y[:, 0], "state": np.zeros((n, 1)), "cov": np.zeros((n, 1, 1)), **index}
    mean = session(step_model(fleet, horizon)).run(["mean"], tick)[0]
    np.testing.assert_allclose(mean, expected, rtol=1e-14)


def test_state_variance_of_one_step():
    records = make_records(1, phi=[THIRD])
    tick = {"y": np.array([np.nan]), "state": np.zeros((1, 1)), "cov": np.full((1, 1, 1), 2.7)}
    found = session(step_model(Fleet.of(records), 1)).run(["variance"], tick)[0]
    np.testing.assert_allclose(found, [[1 + (1 + 2.7 / 9) / 9]], rtol=1e-14)


def test_a_regressor_of_one_series():
    from forecast.models.records import ExogTerm

    records = make_records(1, phi=[THIRD], beta=[THIRD], exog=(ExogTerm("x"),))
    call = {"lags": np.array([[0.7]]), "x": np.array([[[0.9]]])}
    mean = session(forecast_model(Fleet.of(records), 1)).run(["mean"], call)[0]
    np.testing.assert_allclose(mean, [[0.7 / 3 + 0.9 / 3]], rtol=1e-14)
