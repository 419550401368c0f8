import itertools

import numpy as np
import pytest

from edge.quantize.plane import REACH, _best_move, both_ends, move_pairs, nearest_plane, upper
from tests.oracles import edge_quantize as oracle


def problems(n, m, seed=0, spread=2.0):
    """Skewed curvatures, angles and steps; the largest code is 3."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(n, m, m)))[0]
    size = 10.0 ** rng.uniform(-spread, 0, (n, 1, m))
    curvature = (turn * size) @ turn.transpose(0, 2, 1)
    steps = rng.uniform(0.2, 0.4, (n, m))
    return curvature, rng.uniform(-0.8, 0.8, (n, m)), steps, np.full((n, m), 3.0)


def loss_of(curvature, theta, codes, steps):
    off = codes * steps - theta
    return np.einsum("ni,nij,nj->n", off, curvature, off)


def test_root_is_upper_and_gives_the_curvature_back():
    curvature = problems(5, 4)[0]
    root = upper(curvature)
    np.testing.assert_allclose(root.transpose(0, 2, 1) @ root, curvature, rtol=1e-8, atol=1e-12)
    assert not np.tril(root, -1).any()


def test_a_singular_curvature_is_rounded_all_the_same():
    flat = np.ones((2, 3, 3))
    codes, loss = both_ends(flat, np.full((2, 3), 0.3), np.full((2, 1, 3), 0.2), np.full((2, 1, 3), 7.0))
    assert np.isfinite(codes).all()
    assert (loss[:, 0] < 0.04).all()
    assert np.isfinite(upper(np.zeros((1, 2, 2)))).all()


def test_the_loss_told_is_that_of_the_codes_and_codes_stay_in_the_box():
    curvature, theta, steps, most = problems(40, 5)
    theta *= 3
    codes, loss = both_ends(curvature, theta, steps[:, None], most[:, None])
    assert (np.abs(codes) <= 3).all()
    for trial in range(2):
        want = loss_of(curvature, theta, codes[:, trial], steps)
        np.testing.assert_allclose(loss[:, trial], want, rtol=1e-6, atol=1e-9)


def test_a_diagonal_curvature_is_plain_rounding():
    _, theta, steps, most = problems(6, 4)
    diagonal = np.tile(np.diag([1.0, 2.0, 3.0, 4.0]), (6, 1, 1))
    codes, _ = nearest_plane(upper(diagonal), theta, steps[:, None], most[:, None])
    np.testing.assert_array_equal(codes[:, 0], np.clip(np.rint(theta / steps), -3, 3))


def test_moves_end_at_or_near_the_closest_point_of_all():
    curvature, theta, steps, most = problems(30, 4)
    codes, loss = both_ends(curvature, theta, steps[:, None], most[:, None])
    best = codes[np.arange(30), loss.argmin(axis=1)]
    moved = move_pairs(curvature, theta, best, steps, most)
    before, after = (loss_of(curvature, theta, c, steps) for c in (best, moved))
    want = np.array([oracle.closest(curvature[i], theta[i], steps[i], most[i])[0] for i in range(30)])
    plain = loss_of(curvature, theta, np.clip(np.rint(theta / steps), -3, 3), steps)
    assert (after <= before).all()
    assert (after >= want * (1 - 1e-9)).all()
    assert np.isclose(after, want).mean() >= 0.95
    assert np.isclose(plain, want).mean() <= 0.6  # or this test would prove nothing
    assert (np.abs(moved) <= 3).all()


def test_moves_repair_codes_that_are_two_off():
    curvature, theta, steps, most = problems(10, 4, seed=1, spread=0.3)
    best = np.array([oracle.closest(curvature[i], theta[i], steps[i], most[i])[1] for i in range(10)])
    off = best.astype(float)
    off[:, 1] = np.clip(off[:, 1] + 2, -3, 3)
    off[:, 3] = np.clip(off[:, 3] - 1, -3, 3)
    np.testing.assert_array_equal(move_pairs(curvature, theta, off, steps, most), best)


@pytest.mark.parametrize("m", [1, 2])
def test_few_angles_are_no_special_case(m):
    curvature, theta, steps, most = problems(5, m)
    codes, _ = both_ends(curvature, theta, steps[:, None], most[:, None])
    moved = move_pairs(curvature, theta, codes[:, 0], steps, most)
    want = [oracle.closest(curvature[i], theta[i], steps[i], most[i])[0] for i in range(5)]
    np.testing.assert_allclose(loss_of(curvature, theta, moved, steps), want, rtol=1e-8)


def test_the_move_made_is_the_best_of_all_pairs():
    curvature, theta, steps, most = problems(20, 4, seed=2)
    codes = np.clip(np.rint(theta / steps) + 2, -3, 3)
    scaled = curvature * steps[:, :, None] * steps[:, None, :]
    change = _best_move(scaled, codes - theta / steps, codes, most)
    moves = [
        np.array(m) for m in itertools.product(range(-REACH, REACH + 1), repeat=4) if np.count_nonzero(m) <= 2
    ]
    for i in range(20):
        allowed = [m for m in moves if (np.abs(codes[i] + m) <= 3).all()]
        losses = [oracle_loss(curvature[i], theta[i], codes[i] + m, steps[i]) for m in allowed]
        got = oracle_loss(curvature[i], theta[i], codes[i] + change[i], steps[i])
        assert got == pytest.approx(min(losses), rel=1e-9)
    assert (np.count_nonzero(change, axis=1) == 2).any()


def oracle_loss(curvature, theta, codes, steps):
    off = codes * steps - theta
    return float(off @ curvature @ off)
