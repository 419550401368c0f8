"""Differences and seasonal factors: what a filter does to the past is undone on the path."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.fleet import Fleet
from edge.graph.builder import DOUBLE, INT64, Graph
from edge.graph.cascade import apply, differences, seasonal_factor, undo
from edge.graph.tables import Tables
from tests.edge.graph.fleets import session
from tests.oracles.recursion import expand_ar
from tests.strategies import make_records


def fleet_of(d, D, s, P=()):
    n = len(d)
    seasonal = np.array(P) if len(P) else np.zeros((n, 0))
    return Fleet.of(
        make_records(
            n,
            d=np.array(d, np.int32),
            D=np.array(D, np.int32),
            season_length=np.array(s, np.int32),
            seasonal_phi=seasonal,
            levels=np.zeros((n, 60)),
        )
    )


def there_and_back(fleet, past, horizon):
    """Filter the series past + future as a whole; give the graph the past and the rest to undo."""
    graph = Graph()
    tables = Tables(graph, graph.input("index", INT64, ["B"]))
    recent = graph.input("past", DOUBLE, past.shape)
    filtered = graph.input("filtered", DOUBLE, [fleet.n, horizon])
    phi = None
    if fleet.seasonal_phi.shape[1]:
        phi = graph.add("Gather", graph.constant(fleet.seasonal_phi), tables.index, axis=0)
    width, steps = past.shape[1], []
    for stage in [*differences(tables, fleet), *seasonal_factor(tables, fleet, phi)]:
        steps.append((stage, recent))
        recent, width = apply(tables, stage, recent, width)
    out = filtered
    for stage, before in reversed(steps):
        out = undo(tables, stage, out, before, horizon)
    graph.output("left", recent, DOUBLE, ["R", "C"])
    graph.output("out", out, DOUBLE, ["R", "C"])
    graph.output("at", graph.cast(tables.index, DOUBLE), DOUBLE, ["B"])
    return session(graph.model().SerializeToString())


@settings(max_examples=25)
@given(data=st.data(), horizon=st.integers(1, 15), seed=st.integers(0, 99))
def test_what_is_filtered_comes_back(data, horizon, seed):
    rng = np.random.default_rng(seed)
    draw = st.lists(st.integers(0, 2), min_size=3, max_size=3)
    d, D = data.draw(draw), data.draw(draw)
    s = data.draw(st.lists(st.sampled_from([2, 3, 12]), min_size=3, max_size=3))
    P = rng.uniform(-0.4, 0.4, (3, 2)) * data.draw(st.sampled_from([0.0, 1.0]))
    fleet = fleet_of(d, D, s, P)
    series = rng.normal(size=(3, 200))
    coefficients = [expand_ar([], P[i], d[i], D[i], s[i]) for i in range(3)]
    whole = np.array(
        [
            [y[t] - sum(a * y[t - 1 - j] for j, a in enumerate(c)) for t in range(150, 200)]
            for y, c in zip(series, coefficients, strict=True)
        ]
    )
    now = 199 - horizon
    past = series[:, now::-1][:, :130]
    ran = there_and_back(fleet, past, horizon)
    call = {"index": np.arange(3), "past": past, "filtered": whole[:, 50 - horizon :]}
    left, out, _ = ran.run(None, call)
    np.testing.assert_allclose(out, series[:, now + 1 :], atol=1e-9)
    np.testing.assert_allclose(left[:, 0], whole[:, 49 - horizon], atol=1e-9)


@pytest.mark.parametrize(("d", "D"), [(1, 0), (0, 1), (2, 1)])
def test_differences_of_whole_numbers_are_exact(d, D):
    fleet = fleet_of([d] * 2, [D] * 2, [4, 4])
    past = np.cumsum(np.arange(1, 41, dtype=float))[None, :] * np.array([[1.0], [2.0**40]])
    ran = there_and_back(fleet, past, 6)
    left, _, _ = ran.run(None, {"index": np.arange(2), "past": past, "filtered": np.zeros((2, 6))})
    expected = past
    for _ in range(D):
        expected = expected[:, :-4] - expected[:, 4:]
    for _ in range(d):
        expected = expected[:, :-1] - expected[:, 1:]
    np.testing.assert_array_equal(left, expected)


def test_lags_beyond_the_horizon_make_no_stage():
    graph = Graph()
    tables = Tables(graph, graph.input("index", INT64, ["B"]))
    fleet = fleet_of([1, 0], [1, 1], [4, 12], [[0.5], [0.2]])
    assert [s.stride for s in differences(tables, fleet, within=5)] == [4, 1]
    assert [s.stride for s in seasonal_factor(tables, fleet, "index", within=5)] == [4]
    assert differences(tables, fleet, within=0) == []
