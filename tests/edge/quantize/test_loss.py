import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.quantize.loss import Target, covariance_root, summation
from edge.quantize.polynomial import product, slopes, step_up
from tests.bench.edge_populations import near_unit
from tests.oracles import edge_quantize as oracle

PARCORS = st.lists(st.floats(-0.95, 0.95), min_size=1, max_size=6)


def test_rise_of_one_lag_is_worked_out_by_hand():
    # one step ahead: (0.6 - 0.5)^2 / (1 - 0.5^2) is added to a variance of 1
    rise = Target.of(np.array([[0.5]]), 1).rise(np.array([[0.6]]))
    assert rise[0] == pytest.approx(np.sqrt(1 + 0.01 / 0.75) - 1, rel=1e-12)


@settings(deadline=None)
@given(PARCORS, st.floats(-0.3, 0.3), st.integers(1, 12))
def test_rise_is_that_of_the_formula(k, move, horizon):
    phi = step_up(np.array([k]))
    other = step_up(np.array([k]) * 0.9 + 0.05 * move)
    got = Target.of(phi, horizon).rise(other)[0]
    assert got == pytest.approx(oracle.rise(phi[0], other[0], horizon), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("d", "D", "s"), [(1, 0, 1), (2, 0, 1), (0, 1, 4), (1, 1, 3)])
def test_rise_of_an_integrated_model_is_that_of_its_levels(d, D, s):
    rng = np.random.default_rng(d + 5 * D)
    k = rng.uniform(-0.9, 0.9, (3, 4))
    phi, others = step_up(k), step_up(k[:, None] + rng.uniform(-0.05, 0.05, (3, 2, 4)))
    got = Target.of(phi, 10, summation(d, D, s, 10)).rise(others)
    for i in range(3):
        for j in range(2):
            assert got[i, j] == pytest.approx(oracle.rise(phi[i], others[i, j], 10, d, D, s), rel=1e-8)


def test_rise_near_a_unit_root_is_that_of_exact_fractions():
    phi = step_up(near_unit(3, 8, np.random.default_rng(5)))
    other = phi + 1e-4 * np.random.default_rng(6).normal(size=phi.shape)
    got = Target.of(phi, 12).rise(other)
    for i in range(3):
        assert got[i] == pytest.approx(oracle.rise(phi[i], other[i], 12, exact=True), rel=1e-6)


def test_rise_is_what_simulated_forecasts_lose():
    # 400,000 forecasts of one series: the ratio of two errors of the same path has little noise
    rng, phi, other, h, n = np.random.default_rng(7), np.array([0.9, -0.5]), np.array([0.6, -0.2]), 4, 400_000
    y = np.zeros(n)
    e = rng.normal(size=n)
    for t in range(2, n):
        y[t] = phi[0] * y[t - 1] + phi[1] * y[t - 2] + e[t]
    ratios = []
    paths = {name: [y[1:-h], y[: -h - 1]] for name in ("true", "other")}
    for step in range(1, h + 1):
        errors = {}
        for name, a in (("true", phi), ("other", other)):
            new = a[0] * paths[name][0] + a[1] * paths[name][1]
            paths[name] = [new, paths[name][0]]
            errors[name] = np.sqrt(np.mean((y[1 + step : n - h + step] - new)[1000:] ** 2))
        ratios.append(errors["other"] / errors["true"])
    want = Target.of(phi[None], h).rise(other[None])[0]
    assert np.mean(ratios) - 1 == pytest.approx(want, rel=0.02)


def test_root_is_that_of_the_autocovariance():
    rng = np.random.default_rng(2)
    phi = step_up(rng.uniform(-0.9, 0.9, (5, 7)))
    root = covariance_root(phi)
    for i in range(5):
        np.testing.assert_allclose(
            root[i] @ root[i].T, oracle.autocovariance(phi[i]).astype(float), rtol=1e-7
        )


def test_root_holds_near_two_unit_roots_at_once():
    a = product(np.array([[1 - 1e-6]]), np.array([[1 - 1e-6]]), 24)
    root = covariance_root(np.repeat(a, 2, axis=0))
    assert np.isfinite(root).all()
    # a product that rounding put on the circle is pulled in
    assert np.isfinite(covariance_root(np.array([[2.0, -1.0], [0.5, 0.1]]))).all()


@pytest.mark.parametrize("undo", [None, summation(1, 0, 1, 12)])
def test_curvature_is_that_of_the_rise(undo):
    rng = np.random.default_rng(3)
    k = rng.uniform(-0.8, 0.8, (6, 5))
    target = Target.of(step_up(k), 12, undo)
    move = 1e-5 * rng.normal(size=k.shape)
    curvature = target.curvature(slopes(k))
    want = target.rise(step_up(k + move))
    np.testing.assert_allclose(np.einsum("ni,nij,nj->n", move, curvature, move), want, rtol=1e-3)


def test_a_target_can_be_taken_apart():
    phi = step_up(np.random.default_rng(4).uniform(-0.5, 0.5, (4, 3)))
    target, rows = Target.of(phi, 5), np.array([2, 0])
    np.testing.assert_array_equal(target.take(rows).rise(phi[rows] * 0.9), target.rise(phi * 0.9)[rows])


def test_nothing_lost_is_exactly_nothing():
    phi = step_up(np.full((2, 3), 0.9))
    np.testing.assert_array_equal(Target.of(phi, 24).rise(phi), 0.0)
