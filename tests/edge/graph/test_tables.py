"""Tables of parameters: gathered, shared, or whole."""

from __future__ import annotations

import numpy as np
import pytest

from edge.graph.builder import DOUBLE, INT64, Graph
from edge.graph.tables import Tables
from tests.edge.graph.fleets import session


def rows_of(array, store=np.float64, index=(2, 0)):
    graph = Graph()
    tables = Tables(graph, graph.input("index", INT64, ["B"]))
    graph.output("at", tables.graph.cast(tables.index, DOUBLE), DOUBLE, ["B"])
    graph.output("rows", tables.rows(array, store), DOUBLE, ["R", "C"])
    model = graph.model()
    sizes = [list(tensor.dims) for tensor in model.graph.initializer]
    return session(model.SerializeToString()).run(["rows"], {"index": np.array(index)})[0], sizes


def test_rows_follow_the_index():
    found, _ = rows_of(np.array([1.0, 2.0, 3.0]))
    assert found.tolist() == [[3.0], [1.0]]
    found, _ = rows_of(np.arange(6.0).reshape(3, 2), np.float32)
    assert found.tolist() == [[4, 5], [0, 1]]


def test_what_all_share_is_stored_once():
    found, sizes = rows_of(np.full((3, 2), 7.0))
    assert (found.tolist(), sizes) == ([[7.0, 7.0]], [[1, 2]])


def test_rows_of_nan_are_not_taken_for_equal():
    found, sizes = rows_of(np.array([np.nan, 1.0, 2.0]))
    assert (sizes, found[0, 0], np.isnan(found[1, 0])) == ([[3, 1]], 2.0, True)


def test_without_an_index_a_table_is_whole():
    graph = Graph()
    graph.output("rows", graph.add("Neg", Tables(graph).rows(np.arange(3.0))), DOUBLE, [3, 1])
    assert session(graph.model().SerializeToString()).run(None, {})[0].ravel().tolist() == [0, -1, -2]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [((1, 1, 1), [1, 1]), ((0, 0, 0), [2, 2]), ((0, 1, 1), [1, 2]), ((1, 0, 0), [2, 1])],
)
def test_blends_choose_a_row_each(flags, expected):
    graph = Graph()
    tables = Tables(graph, graph.input("index", INT64, ["B"]))
    at = graph.add("Unsqueeze", graph.cast(tables.index, DOUBLE), graph.ints([1]))
    zero = graph.add("Mul", at, graph.number(0.0))
    yes, no = (graph.add("Add", zero, graph.number(v)) for v in (1.0, 2.0))
    found = tables.blend(np.array(flags, dtype=bool), yes, no)
    graph.output("yes", yes, DOUBLE, ["R", "C"])
    graph.output("no", no, DOUBLE, ["R", "C"])
    graph.output("found", found, DOUBLE, ["R", "C"])
    run = session(graph.model().SerializeToString()).run(["found"], {"index": np.array([2, 0])})
    assert run[0].ravel().tolist() == expected
