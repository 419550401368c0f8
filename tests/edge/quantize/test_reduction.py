from dataclasses import replace

import numpy as np
import pytest

from edge.quantize import Models, code
from edge.quantize.block import FIRST, SECOND, THIRD, Block
from edge.quantize.plane import nearest_plane, upper
from edge.quantize.reduction import nearest_plane_reduced, reduce_columns
from tests.bench.edge_populations import seasonal_expanded
from tests.edge.quantize.test_plane import loss_of, problems
from tests.oracles import edge_quantize as oracle


def test_the_reduced_basis_spans_the_same_lattice_and_is_triangular():
    curvature, theta, _, _ = problems(8, 6, seed=3, spread=5.0)
    root = upper(curvature)
    reduced, target, whole = reduce_columns(root, theta)
    np.testing.assert_array_equal(whole, np.rint(whole))
    np.testing.assert_allclose(np.abs(np.linalg.det(whole)), 1.0, rtol=1e-9)
    assert not np.tril(reduced, -1).any()
    # Q is orthogonal: lengths and products of columns are those of root U
    product = root @ whole
    np.testing.assert_allclose(
        reduced.transpose(0, 2, 1) @ reduced, product.transpose(0, 2, 1) @ product, rtol=1e-8, atol=1e-14
    )
    np.testing.assert_allclose((target**2).sum(axis=1), ((root @ theta[:, :, None]) ** 2).sum(axis=(1, 2)))


def test_columns_are_short_and_nearly_orthogonal():
    curvature, theta, _, _ = problems(8, 6, seed=4, spread=6.0)
    reduced = reduce_columns(upper(curvature), theta)[0]
    size = np.abs(np.einsum("nii->ni", reduced))
    # Lovasz' condition, and multiples of at most one half
    for k in range(1, 6):
        after = reduced[:, k - 1, k] ** 2 + size[:, k] ** 2
        assert (after >= 0.99 * size[:, k - 1] ** 2 * (1 - 1e-9)).all()
        for j in range(k):
            assert (np.abs(reduced[:, j, k]) <= 0.5 * size[:, j] * (1 + 1e-9)).all()


def test_codes_are_rounded_better_than_in_their_own_basis():
    curvature, theta, steps, _ = problems(60, 3, seed=5, spread=5.0)
    steps = np.repeat(steps[:, :1], 3, axis=1)
    wide = np.full((60, 3), 6.0)
    codes, loss = nearest_plane_reduced(curvature, theta, steps[:, :1], wide[:, :1])
    kept = np.isfinite(loss[:, 0])
    assert kept.mean() > 0.6
    np.testing.assert_allclose(loss[kept, 0], loss_of(curvature, theta, codes[:, 0], steps)[kept], rtol=1e-4)
    own = nearest_plane(upper(curvature), theta, steps[:, None], wide[:, None])[1][:, 0]
    best = np.array([oracle.closest(curvature[i], theta[i], steps[i], wide[i])[0] for i in range(60)])
    assert np.isclose(loss[kept, 0], best[kept]).mean() > np.isclose(own[kept], best[kept]).mean() + 0.2


def test_codes_outside_the_box_are_not_offered():
    curvature, theta, steps, _ = problems(10, 3, seed=6)
    codes, loss = nearest_plane_reduced(curvature, 9 * np.sign(theta), steps[:, :1], np.ones((10, 1)))
    assert np.isinf(loss).all()
    assert not codes.any()


@pytest.mark.slow
def test_products_of_factors_are_what_it_is_for():
    k = seasonal_expanded(60, np.random.default_rng(5))
    block = Block.of(k, np.zeros((60, 0)), 1, 24, None)
    before = np.minimum(block.search(8, FIRST).rise, block.search(8, SECOND).rise)
    after = np.minimum(before, block.search(8, THIRD).rise)
    assert (after > 2e-4).mean() < 0.75 * (before > 2e-4).mean()
    coded = code(Models.plain(k), (8,))
    np.testing.assert_array_equal(coded.rise > 2e-4, after > 2e-4)


def test_two_factors_are_rounded_in_their_own_basis():
    rng = np.random.default_rng(7)
    block = Block.of(rng.uniform(-0.9, 0.9, (4, 2)), rng.uniform(-0.9, 0.9, (4, 1)), 4, 12, None)
    assert not block.one_factor
    same = block.search(8, replace(THIRD, reduced=False))
    np.testing.assert_array_equal(block.search(8, THIRD).codes, same.codes)
