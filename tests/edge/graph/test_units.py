"""Units in a graph against those of the library."""

from __future__ import annotations

import numpy as np
import pytest

from edge.fleet import Fleet
from edge.graph.builder import DOUBLE, INT64, Graph
from edge.graph.tables import Tables
from edge.graph.units import bands, to_w, to_y
from forecast.models.assemble import take
from forecast.models.forecasting import to_units
from tests.edge.graph.fleets import session
from tests.strategies import make_records


def run(fleet, make, **arrays):
    graph = Graph()
    tables = Tables(graph, graph.input("index", INT64, ["B"]))
    values = [graph.input(name, DOUBLE, array.shape) for name, array in arrays.items()]
    out = make(tables, *values)
    for i, value in enumerate(out):
        graph.output(f"out{i}", value, DOUBLE, ["B", *["D"] * 1] if len(out) == 1 else ["B", "L", "H"])
    graph.output("at", graph.cast(tables.index, DOUBLE), DOUBLE, ["B"])
    return session(graph.model().SerializeToString()).run(None, {"index": np.arange(fleet.n), **arrays})[:-1]


@pytest.mark.parametrize("transform", [(0, 0, 0), (1, 1, 1), (0, 1, 1)])
@pytest.mark.parametrize("scale", [(1.0, 1.0, 1.0), (1.0, 4.0, 0.3)])
def test_there_and_back(transform, scale):
    records = make_records(3, transform=np.array(transform, np.uint8), scale=np.array(scale))
    fleet = Fleet.of(records)
    y = np.exp(np.random.default_rng(0).normal(size=(3, 5)))
    w = run(fleet, lambda t, v: [to_w(t, fleet, v)], y=y)[0]
    expected = np.where(
        np.array(transform)[:, None] == 1, np.log(y / fleet.scale[:, None]), y / fleet.scale[:, None]
    )
    np.testing.assert_allclose(w, expected, rtol=1e-15)
    back = run(fleet, lambda t, v: [to_y(t, fleet, v)], w=w)[0]
    np.testing.assert_allclose(back, to_units(records, w), rtol=1e-15)
    np.testing.assert_allclose(back, y, rtol=1e-14)


def test_bands_have_gaussian_width_and_follow_the_transform():
    records = make_records(2, transform=np.array([0, 1], np.uint8), scale=np.array([2.0, 3.0]))
    fleet = Fleet.of(records)
    mean, variance = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[4.0, 9.0], [0.25, 1.0]])
    lo, hi = run(fleet, lambda t, m, v: bands(t, fleet, m, v, (50, 95)), mean=mean, variance=variance)
    reach = np.array([0.6744897501960817, 1.959963984540054])[:, None]
    for i in range(2):
        half = reach * np.sqrt(variance[i])
        one = take(records, np.array([i]))
        np.testing.assert_allclose(lo[i], to_units(one, (mean[i] - half)[None])[0], rtol=1e-14)
        np.testing.assert_allclose(hi[i], to_units(one, (mean[i] + half)[None])[0], rtol=1e-14)


def test_a_large_unit_overflows_nowhere_on_the_way():
    fleet = Fleet.of(make_records(2, transform=1, scale=np.array([2.0**1000, 2.0**-1000])))
    y = run(fleet, lambda t, v: [to_y(t, fleet, v)], w=np.array([[-690.0], [690.0]]))[0]
    np.testing.assert_allclose(
        y[:, 0], [np.exp(1000 * np.log(2) - 690), np.exp(690 - 1000 * np.log(2))], rtol=1e-12
    )
