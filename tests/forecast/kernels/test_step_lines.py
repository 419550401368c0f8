"""Sums along the steps of a forecast, against the sums as NumPy writes them."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.kernels import step_lines
from forecast.kernels.simd import WIDTH
from forecast.kernels.step_lines import whole

HORIZONS = pytest.mark.parametrize("h", [1, 2, 7, 8, 9, 24, 33])


def line_of(values):
    """A line with NaN beyond its steps: what lies there must not show."""
    line = step_lines.lines(1, len(values))[0]
    line[WIDTH:] = np.nan
    line[WIDTH : WIDTH + len(values)] = values
    return line


def steps(line, h):
    return line[..., WIDTH : WIDTH + h]


def weights_of(rng, h):
    """Weights from place 3 on, in whole vectors."""
    weights = np.zeros(3 + whole(h))
    weights[3 : 3 + h] = rng.normal(size=h)
    return weights


@HORIZONS
def test_a_convolution(h):
    rng = np.random.default_rng(h)
    weights, x, out = weights_of(rng, h), rng.normal(size=h), line_of(np.zeros(h))
    step_lines.convolve(weights, 3, h, line_of(x), out)
    np.testing.assert_allclose(steps(out, h), np.convolve(weights[3 : 3 + h], x)[:h], atol=1e-13)
    assert not out[:WIDTH].any()


@HORIZONS
@pytest.mark.parametrize("size", [0, 1, 5, 8, 30])
def test_what_the_past_says_of_every_step(h, size):
    rng = np.random.default_rng(h)
    past, factors, start = rng.normal(size=size + 2), rng.normal(size=size), rng.normal(size=h)
    out = line_of(start)
    step_lines.add_reach(np.r_[factors, np.zeros(WIDTH)], size, past, 2, h, out)
    want = start + [sum(factors[i] * past[2 + i - k] for i in range(k, size)) for k in range(h)]
    np.testing.assert_allclose(steps(out, h), want, atol=1e-13)


@HORIZONS
def test_a_line_one_step_later(h):
    rng = np.random.default_rng(h)
    weights, before, out = weights_of(rng, h), rng.normal(size=h), line_of(np.zeros(h))
    step_lines.step_later(line_of(before), weights, 3, 1.5, h, out)
    np.testing.assert_allclose(steps(out, h), np.r_[0.0, before[:-1]] + 1.5 * weights[3 : 3 + h], atol=1e-14)


@HORIZONS
@pytest.mark.parametrize("count", [1, 3, 9])
def test_quadratic_forms_and_squares(h, count):
    rng = np.random.default_rng(h)
    G = step_lines.lines(count + 1, h)
    steps(G, h)[...] = rng.normal(size=(count + 1, h))
    lower = np.tril(rng.normal(size=(count, count)))
    packed, start = np.r_[0.0, lower[np.tril_indices(count)]], rng.normal(size=h)

    out = line_of(start)
    step_lines.add_quadratic(G, count, packed, 1, h, out)
    V, g = lower + np.tril(lower, -1).T, steps(G, h)
    np.testing.assert_allclose(steps(out, h), start + np.einsum("ik,ij,jk->k", g[:-1], V, g[:-1]), atol=1e-12)

    which = rng.permutation(count + 1)[:count].astype(np.float64)
    for place, rows in ((-1, np.arange(1, count + 1)), (0, which.astype(int))):
        out = line_of(start)
        step_lines.add_squares(G, count, which, place, packed, 1, 0.25, h, out)
        want = start + 0.25 * ((lower @ g[rows]) ** 2).sum(axis=0)
        np.testing.assert_allclose(steps(out, h), want, atol=1e-12)
