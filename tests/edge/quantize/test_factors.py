import numpy as np
import pytest

from edge.quantize.codec import LIMIT
from edge.quantize.factors import Factors
from tests.oracles import edge_quantize as oracle
from tests.oracles import roots as roots_oracle


@pytest.mark.parametrize(("p", "P", "s"), [(3, 0, 1), (2, 1, 12), (0, 2, 4), (4, 2, 3)])
def test_expansion_is_the_product_and_slopes_are_its_differences(p, P, s):
    rng = np.random.default_rng(p)
    k = rng.uniform(-0.9, 0.9, (3, p + P))
    factors = Factors.of(k[:, :p], k[:, p:], s)
    got = factors.expand(factors.theta)
    for i in range(3):
        want = oracle.multiply(roots_oracle.step_up(k[i, :p]), roots_oracle.step_up(k[i, p:]), s)
        np.testing.assert_allclose(got[i], want, atol=1e-12)
    slope, eps = factors.slopes(), 1e-6
    for j in range(p + P):
        move = eps * np.eye(p + P)[j]
        ends = factors.expand(factors.theta + move), factors.expand(factors.theta - move)
        np.testing.assert_allclose(slope[:, j], (ends[0] - ends[1]) / (2 * eps), atol=1e-8)


def test_what_cannot_be_stored_is_clamped():
    factors = Factors.of(np.array([[1 - 1e-9, -1 + 1e-12]]), np.zeros((1, 0)), 1)
    np.testing.assert_allclose(np.sin(factors.theta), [[LIMIT, -LIMIT]], rtol=1e-15)
