"""m_t in a graph against the library, over the past and the future."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import GraphError
from edge.fleet import Fleet
from edge.graph.builder import DOUBLE, INT64, Graph
from edge.graph.tables import Tables
from edge.graph.terms import Terms, Window, deterministic
from forecast.models.assemble import take
from forecast.models.records import ExogTerm
from tests.edge.graph.fleets import EXOG, mixed_records, session
from tests.oracles import edge_graphs
from tests.strategies import make_records

PAST = 9


def computed(records, index, t, x, first, last):
    fleet = Fleet.of(records)
    graph = Graph()
    tables = Tables(graph, graph.input("index", INT64, ["B"]) if fleet.n > 1 else None)
    terms = Terms.of(fleet)
    call = {"index": np.asarray(index)} if fleet.n > 1 else {}
    inputs = [None, None]
    if terms.needs_t:
        inputs[0], call["t"] = graph.input("t", INT64, ["B"]), t
    if fleet.names:
        inputs[1], call["x"] = graph.input("x", DOUBLE, ["B", x.shape[1], x.shape[2]]), x
    m = deterministic(tables, terms, Window(first, last, *inputs, PAST - 1))
    graph.output("total", m, DOUBLE, ["R", "C"])
    if fleet.n > 1:
        graph.output("at", graph.cast(tables.index, DOUBLE), DOUBLE, ["B"])
    return session(graph.model().SerializeToString()).run(["total"], call)[0]


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**20), first=st.integers(-5, 1), width=st.integers(1, 6), n=st.sampled_from([1, 4])
)
def test_any_window(seed, first, width, n):
    records = mixed_records(n, seed, EXOG)
    rng = np.random.default_rng(seed)
    index, t = rng.integers(0, n, 3), rng.integers(100, 10**6, 3)
    names = Fleet.of(records).names
    x = rng.normal(size=(3, PAST + 12, len(names)))
    found = computed(records, index, t, x, first, first + width)
    for b, i in enumerate(index):
        one = take(records, np.array([i]))
        expected = [
            edge_graphs.deterministic(one, t[b] + k, names, x[b], PAST - 1, t[b])
            for k in range(first, first + width)
        ]
        np.testing.assert_allclose(np.broadcast_to(found, (3, width))[b], expected, rtol=1e-12, atol=1e-10)


def test_calendar_terms_are_supplied_and_fourier_terms_are_not():
    terms = (
        ExogTerm("calendar(hour,3)"),
        ExogTerm("fourier(24.0,sin,1)"),
        ExogTerm("temp", 2),
        ExogTerm("idle"),
    )
    records = make_records(1, exog=terms, beta=[1.0, 2.0, 3.0, 0.0], exog_tail=np.ones((1, 1, 2)))
    fleet = Fleet.of(records)
    assert fleet.names == ("calendar(hour,3)", "temp")
    assert fleet.max_lag == 2


def test_a_name_that_only_looks_like_a_wave_is_supplied():
    records = make_records(1, exog=(ExogTerm("fourier(x)"),), beta=[1.0])
    assert Fleet.of(records).names == ("fourier(x)",)
    assert not Fleet.of(records).needs_t


def test_what_is_zero_makes_no_node():
    graph = Graph()
    fleet = Fleet.of(make_records(2, phi=[0.5]))
    assert deterministic(Tables(graph), Terms.of(fleet), Window(1, 4)) is None


def test_a_graph_without_its_inputs_is_refused():
    tables = Tables(Graph())
    slope = Terms.of(Fleet.of(make_records(1, slope=0.1)))
    with pytest.raises(GraphError, match="depend on t"):
        deterministic(tables, slope, Window(1, 3))
    exog = Fleet.of(make_records(1, exog=(ExogTerm("a", 3),), beta=[1.0], exog_tail=np.ones((1, 1, 3))))
    with pytest.raises(GraphError, match="need the regressors"):
        deterministic(tables, Terms.of(exog), Window(1, 3))
    graph = Graph()
    x = graph.input("x", DOUBLE, ["B", 5, 1])
    with pytest.raises(GraphError, match="1 rows too late for lag 3"):
        deterministic(Tables(graph), Terms.of(exog), Window(1, 3, None, x, 1))
