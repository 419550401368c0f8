"""Series in whose recursion more than their own past enters."""

import numpy as np
import pytest

from edge.fleet import Fleet
from edge.graph.model import forecast_model
from edge.quantize import quantize
from forecast.models.forecasting import forecast
from forecast.models.records import Form
from tests.edge.artifacts import inputs_of
from tests.services.edge.graph_runner import run_graph
from tests.strategies import make_records

# A season that is far wider than the innovations: a small change of phi would show.
SEASON = [40.0, -25.0, 10.0, -25.0]
PHI = [0.6, 0.3]


def records(**fields):
    levels = np.tile([[120.0, 80.0]], (3, 1))
    given = {"phi": PHI, "const": 10.0, "sigma2": 1.0, "nobs": 100, "levels": levels, "season_length": 4}
    return make_records(3, **(given | fields))


@pytest.mark.parametrize("fields", [{"seasonal": SEASON}, {"slope": 0.5}], ids=["season", "trend"])
def test_a_driven_recursion_takes_sixteen_bits(fields):
    assert quantize(Fleet.of(records(**fields))).bits.tolist() == [16] * 3
    free = quantize(Fleet.of(records(**fields, form=Form.REGRESSION)))
    assert (free.bits < 16).all()


@pytest.mark.parametrize("profile", ["size", "balanced"])
@pytest.mark.parametrize("d", [0, 1])
@pytest.mark.parametrize("seasonal", [[0.0] * 4, SEASON], ids=["constant", "season"])
def test_codes_change_no_level(profile, d, seasonal):
    """Over a long horizon the library and the file come to the same level, and season."""
    levels = [120.0, 80.0, 100.0] if d == 0 else [320.0, 220.0, 120.0]
    made = records(seasonal=seasonal, d=np.full(3, d, np.int32), levels=np.tile(levels, (3, 1)))
    fleet, h = Fleet.of(made), 200
    coded = quantize(fleet)
    lags = np.ascontiguousarray(fleet.levels[:, : fleet.n_lags])
    feed = {"index": np.arange(3), "lags": lags, "t": fleet.nobs}
    graph = forecast_model(fleet, h, (), profile, coded)
    found = run_graph(graph, {name: feed[name] for name in inputs_of(graph)})["mean"]
    want = forecast(made, h).mean[coded.order]
    last = slice(-4, None)
    slack = 0.05 if d == 0 else 1.0  # of a start that takes a few steps to be forgotten, sums keep some
    assert np.abs(found[:, last] - want[:, last]).max() < slack
