"""Parity with the library of one of every kind of graph, on the ONNX Runtime that is installed here."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edge.fleet import Fleet
from edge.quantize import quantize
from tests.edge.artifacts import (
    FLEETS,
    NAMES,
    PROFILES,
    SINGLE,
    STEPS,
    Artifact,
    closed_artifact,
    difference,
    fleet_artifact,
    step_artifact,
)
from tests.edge.worlds import MISSING, deterministic, world
from tests.services.edge.graph_runner import run_graph


def check(artifact: Artifact) -> None:
    outputs = run_graph(artifact.graph, dict(artifact.inputs))
    assert set(artifact.expected) <= set(outputs)
    assert artifact.error(outputs) <= artifact.tolerance


@pytest.mark.parametrize("kind", SINGLE)
def test_closed(kind):
    check(closed_artifact(kind))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", FLEETS)
def test_fleet(kind, profile):
    check(fleet_artifact(kind, profile))


@pytest.mark.parametrize("kind", STEPS)
def test_step(kind):
    check(step_artifact(kind))


def test_the_mixed_fleet_has_all_classes():
    coded = quantize(Fleet.of(FLEETS["mixed"]()))
    assert min(coded.n16, coded.n8, coded.n4) > 0


def test_ticks_are_missing_now_and_then():
    made = world(STEPS["fleet"](), NAMES)
    assert np.isfinite(made.y[:, : made.origin]).all()
    share = np.isnan(made.y[:, made.origin :]).mean()
    assert 0.5 * MISSING < share < 2 * MISSING


def test_a_world_stands_where_its_values_end():
    """By hand: in the REGRESSION form the last level is w less m, in the other it is w."""
    made = world(SINGLE["regression"](), NAMES)
    records, last = made.records, made.origin - 1
    m = deterministic(records, made.x, made.origin)[0, last]
    price, temp, before = (
        made.x[name][0, last - lag] for name, lag in (("price", 0), ("temp", 0), ("temp", 2))
    )
    wave = np.sin(2 * np.pi * made.origin / 7)
    by_hand = records.const[0] + 0.002 * made.origin + 0.5 * temp - 0.3 * before + 0.8 * price + 0.4 * wave
    assert m == pytest.approx(by_hand, rel=1e-12)
    assert records.levels[0, 0] == pytest.approx(made.y[0, last] - m, rel=1e-12)
    plain = world(SINGLE["exog"](), NAMES)
    assert plain.records.levels[0, 0] == plain.y[0, last]
    np.testing.assert_array_equal(plain.records.exog_tail[0, 0], plain.x["temp"][0, [last, last - 1]])


@pytest.mark.parametrize(
    ("got", "want", "error"),
    [
        ([[1.0, 10.0]], [[1.0, 10.0]], 0.0),
        ([[1.0, 10.5]], [[1.0, 10.0]], 0.05),
        ([[1.5, 10.0]], [[1.0, 10.0]], 0.05),
        ([[np.nan, 2.0]], [[np.nan, 2.0]], 0.0),
        ([[np.nan, 2.0]], [[1.0, 2.0]], np.inf),
        ([[1.0, 2.0]], [[np.nan, 2.0]], np.inf),
        ([[np.inf]], [[1.0]], np.inf),
        ([[1.0], [5.5]], [[100.0], [5.0]], 0.99),
        ([1.0], [1.0, 2.0], np.inf),
    ],
)
def test_a_difference_is_relative_to_its_row(got, want, error):
    assert difference(np.array(got), np.array(want)) == pytest.approx(error)


@pytest.mark.parametrize("kind", STEPS)
def test_no_product_of_a_transposed_matrix_in_a_step(kind):
    assert not fused(step_artifact(kind, ticks=1).graph)


@pytest.mark.parametrize("kind", SINGLE)
def test_no_product_of_a_transposed_matrix_in_a_closed_form(kind):
    assert not fused(closed_artifact(kind).graph)


@pytest.mark.parametrize("profile", PROFILES)
def test_no_product_of_a_transposed_matrix_in_a_fleet(profile):
    assert not fused(fleet_artifact("mixed", profile).graph)


def fused(graph: bytes) -> list[str]:
    """Products that ONNX Runtime 1.19 and 1.20 make, in float64, an operator that has no such kernel."""
    nodes = onnx.load_from_string(graph).graph.node
    turned = {name for node in nodes if node.op_type == "Transpose" for name in node.output}
    return [node.output[0] for node in nodes if node.op_type == "MatMul" and turned & set(node.input)]
