"""The unrolled recursion, psi weights and their growth against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.graph.builder import DOUBLE, Graph
from edge.graph.recursion import growth, path, psi_weights
from tests.edge.graph.fleets import session
from tests.oracles import recursion as oracle
from tests.strategies import stationary_phi


def computed(make, **arrays):
    graph = Graph()
    inputs = [graph.input(name, DOUBLE, array.shape) for name, array in arrays.items()]
    graph.output("out", make(graph, *inputs), DOUBLE, ["R", "C"])
    return session(graph.model().SerializeToString()).run(None, arrays)[0]


@settings(max_examples=25)
@given(phi=stationary_phi(max_p=7), horizon=st.integers(1, 20), driven=st.booleans(), seed=st.integers(0, 99))
def test_path(phi, horizon, driven, seed):
    rng = np.random.default_rng(seed)
    p = len(phi)
    recent, drive = rng.normal(size=(3, p)), rng.normal(size=(3, horizon)) * driven
    more = {"drive": drive} if driven else {}
    found = computed(
        lambda g, a, r, *d: path(g, a, r, p, horizon, *d), phi=np.tile(phi, (3, 1)), recent=recent, **more
    )
    expected = [oracle.forecast_path(phi, [], row, [], m) for row, m in zip(recent, drive, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-11)


@settings(max_examples=25)
@given(phi=stationary_phi(max_p=7), horizon=st.integers(1, 20))
def test_psi_weights_and_growth(phi, horizon):
    rows = np.tile(phi, (2, 1))
    expected = oracle.psi(phi, [], horizon)
    found = computed(lambda g, a: psi_weights(g, a, len(phi), horizon), phi=rows)
    np.testing.assert_allclose(found, np.tile(expected, (2, 1)), atol=1e-12)
    found = computed(lambda g, a: growth(g, psi_weights(g, a, len(phi), horizon)), phi=rows)
    np.testing.assert_allclose(found[1], np.cumsum(expected**2), rtol=1e-11)


@pytest.mark.parametrize("horizon", [1, 2, 3, 6, 7])
def test_ar1_by_hand(horizon):
    found = computed(
        lambda g, a, r: path(g, a, r, 1, horizon), phi=np.array([[0.5]]), recent=np.array([[8.0]])
    )
    assert found.tolist() == [[8.0 * 0.5**k for k in range(1, horizon + 1)]]
