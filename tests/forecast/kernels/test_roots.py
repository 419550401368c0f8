import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.kernels.roots import (
    PARCOR_LIMIT,
    clamp,
    max_pole,
    max_pole_rows,
    repair,
    step_down,
    step_down_rows,
    step_up,
    step_up_rows,
)
from tests.oracles import roots as oracle
from tests.strategies import stationary_phi


def down(phi):
    phi = np.asarray(phi, dtype=np.float64)
    k = np.zeros(len(phi))
    return step_down(phi, len(phi), k), k


def radius(phi):
    phi = np.asarray(phi, dtype=np.float64)
    return max_pole(phi, len(phi), np.empty(len(phi)))


@given(st.lists(st.floats(-0.99, 0.99), min_size=1, max_size=12))
def test_step_down_undoes_step_up(k):
    k = np.array(k)
    phi = np.empty(len(k))
    step_up(k, len(k), phi)
    np.testing.assert_allclose(phi, oracle.step_up(k), atol=1e-10 * 2 ** len(k))
    margin, back = down(phi)
    # The map back has condition prod 1 / (1 - k^2): rounding grows with it.
    condition = np.prod(1 / (1 - k**2))
    if condition < 1e6:
        np.testing.assert_allclose(back, k, atol=1e-13 * condition * 2 ** len(k))
        assert margin > 0


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=8))
def test_verdict_is_that_of_exact_fractions(phi):
    exact = oracle.margin(phi)
    margin, k = down(phi)
    if abs(exact) > 1e-6:  # nearer to the circle float64 may lose the sign
        assert (margin > 0) == (exact > 0)
    for got, want in zip(k[::-1], oracle.step_down(phi)[::-1], strict=True):
        if want is None or abs(want) >= 1:
            break
        if exact > 1e-3:
            assert got == pytest.approx(float(want), abs=1e-6)


def test_by_hand():
    margin, k = down([0.5, 0.2])
    np.testing.assert_allclose(k, [0.5 / 0.8, 0.2])  # k_1 = phi_1 / (1 - phi_2)
    assert margin == pytest.approx(1 - 0.625)


def test_nothing_is_stationary_with_margin_one():
    assert step_down(np.zeros(1), 0, np.zeros(1)) == 1.0
    assert radius(np.zeros(3)) == 0.0


@pytest.mark.parametrize("phi", [[1.0], [-1.0], [0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])
def test_unit_root_has_no_margin(phi):
    margin, _ = down(phi)
    assert margin <= 0.0
    assert radius(phi) == pytest.approx(1.0, abs=1e-7)  # [2, -1] is double: half of the digits


def test_lags_below_the_first_violation_are_nan():
    margin, k = down([0.3, 0.2, 1.5])
    assert margin == -0.5
    assert np.isnan(k[:2]).all()
    assert k[2] == 1.5


def test_nan_is_never_stationary():
    margin, _ = down([0.1, np.nan])
    assert not margin > 0
    assert np.isnan(radius([np.nan, 0.5]))


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_radius_is_that_of_the_companion_matrix(phi):
    want = oracle.max_pole(phi)
    # m-fold roots are known to eps^(1/m) by either method; tiny trailing coefficients likewise.
    assert radius(phi) == pytest.approx(want, rel=1e-3, abs=1e-2)


def test_radius_of_known_poles():
    poles = np.array([0.99, -0.7, 0.3 + 0.4j, 0.3 - 0.4j])
    phi = -np.poly(poles).real[1:]
    assert radius(phi) == pytest.approx(0.99, rel=5e-12)
    assert radius([1.25]) == 1.25
    pair = 0.98 * np.exp(1j * 0.6)
    assert radius(-np.poly([pair, pair.conjugate()]).real[1:]) == pytest.approx(0.98, rel=5e-12)


def test_radius_at_extreme_scales():
    assert radius([1e-200]) == 1e-200
    assert radius([0.0, 1e-150]) == pytest.approx(1e-75)
    assert radius([1e150, 1.0]) == pytest.approx(1e150)


@given(stationary_phi(max_p=8, limit=0.99999))
def test_clamp_bounds_every_partial_autocorrelation(phi):
    out = phi.copy()
    clamp(out, len(out), PARCOR_LIMIT, np.empty(len(out)))
    margin, _ = down(out)
    before, _ = down(phi)
    if before <= 0:
        np.testing.assert_array_equal(out, phi)
    else:
        assert margin > 0
        assert np.abs(out - phi).max() <= 1e-4 * 4 ** len(phi)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.sampled_from([0.9, 0.999]))
def test_repair_leaves_poles_inside(phi, limit):
    out = np.array(phi)
    changed = repair(out, len(out), limit, 1e-6, np.empty(len(out)))
    assert down(out)[0] > 1e-6
    assert radius(out) < limit
    assert changed == (not np.array_equal(out, phi))


def test_repair_keeps_the_period():
    pair = 1.05 * np.exp(1j * 2 * np.pi / 12)
    phi = -np.poly([pair, pair.conjugate()]).real[1:]
    assert repair(phi, 2, 0.999, 1e-6, np.empty(2))
    roots = np.roots(np.r_[1.0, -phi])
    assert np.abs(np.angle(roots)) == pytest.approx(2 * np.pi / 12, rel=1e-9)
    assert np.abs(roots).max() == pytest.approx(0.999 * 0.999, rel=1e-6)


def test_repair_of_a_good_model_changes_no_bit():
    phi = np.array([1.2, -0.5])
    assert not repair(phi, 2, 0.999, 1e-6, np.empty(2))
    np.testing.assert_array_equal(phi, [1.2, -0.5])


def test_repair_without_numbers_gives_white_noise():
    phi = np.array([np.inf, 0.5])
    assert repair(phi, 2, 0.999, 1e-6, np.empty(2))
    np.testing.assert_array_equal(phi, 0.0)


def test_rows_do_not_depend_on_the_split():
    rng = np.random.default_rng(1)
    n, width = 7, 5
    p = rng.integers(0, width + 1, n)
    k = rng.uniform(-0.9, 0.9, (n, width))
    phi, back = np.full((n, width), np.nan), np.full((n, width), np.nan)
    margin, pole = np.empty(n), np.empty(n)
    for first, last in [(0, 3), (3, 4), (4, 7)]:
        step_up_rows(k, p, phi, first, last)
        step_down_rows(phi, p, back, margin, first, last)
        max_pole_rows(phi, p, pole, first, last)
    for i in range(n):
        np.testing.assert_allclose(back[i, : p[i]], k[i, : p[i]], atol=1e-12)
        np.testing.assert_array_equal(back[i, p[i] :], 0.0)
        assert margin[i] == (1.0 if p[i] == 0 else down(phi[i, : p[i]])[0])
        assert pole[i] == (0.0 if p[i] == 0 else radius(phi[i, : p[i]]))


def test_r_agrees_on_pacf_and_roots(fixtures):
    """R's ARMAacf(pacf = TRUE) and polyroot, printed to 15 digits; both solve linear systems: 1e-9."""
    pure = [
        c
        for c in json.loads((fixtures / "r" / "correlations.json").read_text())["theoretical"]
        if not c["ma"]
    ]
    assert pure
    for case in pure:
        phi = case["ar"]
        np.testing.assert_allclose(down(phi)[1], case["pacf"][: len(phi)], atol=1e-9)
        assert radius(phi) == pytest.approx(1 / case["min_root_modulus"], rel=1e-9)
