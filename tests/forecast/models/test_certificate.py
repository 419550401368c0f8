import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.models.certificate import MAX_RADIUS, MIN_MARGIN, certify, repair
from tests.oracles import roots as oracle
from tests.strategies import stationary_phi


def orders(*values):
    return np.array(values, dtype=np.int64)


def test_by_hand():
    got = certify(np.array([[0.5, 0.2], [0.9, 0.0], [0.0, 0.0]]), orders(2, 1, 0))
    np.testing.assert_allclose(got.margin, [0.375, 0.1, 1.0])
    # z^2 - 0.5 z - 0.2: (0.5 + sqrt(1.05)) / 2
    np.testing.assert_allclose(got.max_pole, [(0.5 + np.sqrt(1.05)) / 2, 0.9, 0.0], rtol=1e-12)
    np.testing.assert_allclose(got.parcor, [[0.625, 0.2], [0.9, 0.0], [0.0, 0.0]])
    assert got.passed.all()


def test_a_seasonal_pole_is_a_root_of_its_root():
    got = certify(np.zeros((1, 0)), orders(0), np.array([[0.5]]), orders(1), orders(12))
    assert got.max_pole[0] == pytest.approx(0.5 ** (1 / 12))
    assert got.margin[0] == 0.5


def test_the_worse_factor_counts():
    got = certify(np.array([[0.3]]), orders(1), np.array([[-0.8]]), orders(1), orders(1))
    assert got.margin[0] == pytest.approx(0.2)
    assert got.max_pole[0] == pytest.approx(0.8)


@pytest.mark.parametrize("phi", [[1.0], [0.99995], [1.02], [2.0, -1.0], [np.nan]])
def test_the_gate_is_shut(phi):
    assert not certify(np.array([phi]), orders(len(phi))).passed[0]


@given(stationary_phi(max_p=8, limit=0.8))
def test_a_certificate_agrees_with_roots(phi):
    got = certify(phi[None], orders(len(phi)))
    assert got.margin[0] == pytest.approx(oracle.margin(phi), abs=1e-9)
    # Close poles are known to a root of the rounding only, by np.roots more so.
    assert got.max_pole[0] == pytest.approx(oracle.max_pole(phi), rel=1e-3, abs=1e-2)


@given(
    st.lists(st.lists(st.floats(-3, 3), min_size=4, max_size=4), min_size=1, max_size=5),
    st.sampled_from([1, 12]),
)
def test_what_was_repaired_passes(rows, season):
    phi = np.array(rows)
    p = np.full(len(phi), 4)
    s = np.full(len(phi), season)
    fixed, changed = repair(phi, p, s)
    none, zero = np.zeros((len(phi), 0)), np.zeros(len(phi), dtype=np.int64)
    assert certify(none, zero, fixed, p, s).passed.all()
    before = certify(none, zero, phi, p, s)
    # The repair stops a hair inside the gate: a pole within 1e-9 of it may be moved.
    clear = np.abs(before.max_pole - MAX_RADIUS) > 1e-8
    np.testing.assert_array_equal(changed[clear], ~before.passed[clear])
    np.testing.assert_array_equal(fixed[~changed], phi[~changed])


def test_a_small_violation_is_a_small_repair():
    fixed, changed = repair(np.array([[1.001]]), orders(1))
    assert changed[0]
    assert MAX_RADIUS * 0.998 < fixed[0, 0] < MAX_RADIUS


def test_threads_change_no_bit():
    rng = np.random.default_rng(0)
    phi, p = rng.normal(size=(600, 5)), rng.integers(0, 6, 600)
    one, two = certify(phi, p), certify(phi, p, jobs=2)
    np.testing.assert_array_equal(one.margin, two.margin)
    np.testing.assert_array_equal(one.max_pole, two.max_pole)
    np.testing.assert_array_equal(repair(phi, p)[0], repair(phi, p, jobs=2)[0])


def test_a_slow_model_of_a_long_series_passes():
    assert certify(np.array([[0.9995]]), orders(1)).passed[0]


def test_constants_are_those_of_the_design():
    assert (MIN_MARGIN, MAX_RADIUS) == (1e-6, 0.9999)
