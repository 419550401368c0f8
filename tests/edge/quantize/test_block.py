from dataclasses import replace

import numpy as np
import pytest

from edge.quantize.block import COARSE, FIRST, SECOND, Block, Coded, better
from edge.quantize.codec import THETA_LIMIT
from edge.quantize.polynomial import step_up
from tests.bench.edge_populations import random_ar, resonant, seasonal_expanded
from tests.oracles import edge_quantize as oracle


def block(k, seasonal=None, s=1, horizon=24):
    return Block.of(k, np.zeros((len(k), 0)) if seasonal is None else seasonal, s, horizon, None)


def test_search_is_far_better_than_rounding():
    made = block(random_ar(60, 24, np.random.default_rng(5)))
    plain, first = made.nearest(8), made.search(8, FIRST)
    assert (first.rise <= plain.rise).all()
    assert np.median(first.rise) < np.median(plain.rise) / 10
    second = made.take(np.arange(10)).search(8, SECOND)
    assert second.rise.mean() < first.rise[:10].mean()


def test_moves_of_pairs_help_some_and_harm_none():
    made = block(seasonal_expanded(40, np.random.default_rng(10)))
    still, moved = made.search(8, replace(SECOND, moves=False)), made.search(8, SECOND)
    assert (moved.rise <= still.rise).all()
    assert (moved.rise < 0.98 * still.rise).any()


def test_the_rise_told_is_that_of_the_decoded_codes():
    k = resonant(8, np.random.default_rng(6))
    found = block(k).search(8, FIRST)
    for i in range(8):
        other = oracle.decode(found.codes[i], found.scales[i, 0])
        want = oracle.rise(step_up(k[i : i + 1])[0], other, 24)
        assert found.rise[i] == pytest.approx(want, rel=1e-3, abs=1e-9)


def test_the_rise_told_of_a_seasonal_model_is_that_of_the_product():
    rng = np.random.default_rng(7)
    k, seasonal = rng.uniform(-0.9, 0.9, (5, 3)), rng.uniform(-0.9, 0.9, (5, 2))
    found = block(k, seasonal, s=4).search(4, COARSE)
    for i in range(5):
        parts = [(oracle.decode(found.codes[i, :3], found.scales[i, 0])),
                 oracle.decode(found.codes[i, 3:], found.scales[i, 1])]  # fmt: skip
        true = [step_up(x[i : i + 1])[0] for x in (k, seasonal)]
        want = oracle.rise(oracle.multiply(*true, 4), oracle.multiply(*parts, 4), 24)
        assert found.rise[i] == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_a_single_angle_is_stored_to_the_precision_of_its_scale(bits):
    k = np.array([[0.5], [-0.999], [1e-5], [0.0]])
    found = block(k).search(bits, COARSE if bits == 4 else FIRST)
    theta = found.codes[:, 0] * found.scales[:, 0].astype(float)
    np.testing.assert_allclose(theta, np.arcsin(k[:, 0]), rtol=1e-7)
    assert found.codes[3, 0] == 0


def test_a_single_seasonal_angle_is_exact_whatever_the_others_need():
    rng = np.random.default_rng(9)
    seasonal = rng.uniform(-0.99, 0.99, (20, 1))
    found = block(random_ar(20, 4, rng), seasonal, s=6).search(8, FIRST)
    np.testing.assert_allclose(
        found.codes[:, 4] * found.scales[:, 1].astype(float), np.arcsin(seasonal[:, 0]), rtol=1e-7
    )


def test_an_angle_at_the_limit_stays_inside_it():
    k = np.array([[1 - 1e-9, 0.3], [-(1 - 1e-7), -0.2], [1 - 1e-6, 0.9]])
    for bits in (4, 8, 16):
        found = block(k).search(bits, COARSE if bits == 4 else FIRST)
        assert (np.abs(found.codes * found.scales[:, :1].astype(float)) <= THETA_LIMIT).all()


def test_what_the_curvature_calls_hopeless_is_not_looked_for():
    found = block(random_ar(20, 24, np.random.default_rng(8))).search(4, COARSE, limit=1e-6)
    assert np.isinf(found.rise).all()
    assert not found.codes.any()


def test_the_better_of_two_is_chosen_series_by_series():
    one = Coded(np.array([[1], [2]]), np.ones((2, 2), np.float32), np.array([0.1, 0.4]))
    two = Coded(np.array([[3], [4]]), np.zeros((2, 2), np.float32), np.array([0.2, 0.3]))
    both = better(one, two)
    assert both.codes.tolist() == [[1], [4]]
    assert both.scales.tolist() == [[1, 1], [0, 0]]
    assert both.rise.tolist() == [0.1, 0.3]
