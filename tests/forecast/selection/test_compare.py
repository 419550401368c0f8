import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from forecast.errors import InputError
from forecast.selection.compare import diebold_mariano


def slow_test(a, b, h):
    """Sums written out; the Bartlett form where the plain variance is not positive."""
    d = [x - y for x, y in zip(a, b, strict=True)]
    n, mean = len(d), sum(d) / len(d)

    def gamma(k):
        return sum((d[t] - mean) * (d[t - k] - mean) for t in range(k, n)) / n

    variance = gamma(0) + 2 * sum(gamma(k) for k in range(1, h))
    if variance <= 0:
        variance = gamma(0) + 2 * sum((1 - k / h) * gamma(k) for k in range(1, h))
    plain = mean / (variance / n) ** 0.5
    corrected = plain * ((n + 1 - 2 * h + h * (h - 1) / n) / n) ** 0.5
    return corrected, 2 * stats.t.sf(abs(corrected), n - 1)


@given(st.integers(0, 2**32 - 1), st.integers(5, 60), st.integers(1, 4))
def test_statistic_and_p_are_the_formula(seed, n, h):
    a, b = np.random.default_rng(seed).normal(size=(2, n)) ** 2
    got = diebold_mariano(a, b, h)
    statistic, p = slow_test(a, b, h)
    # Sums of 60 terms; the variance may cancel to a small part of its terms.
    assert got.statistic == pytest.approx(statistic, rel=1e-6)
    assert got.p_value == pytest.approx(p, rel=1e-6)
    assert got.n == n


def test_at_one_step_it_is_the_paired_t_test():
    # With h = 1 the corrected statistic is d / (s / sqrt(n)), s with divisor n - 1.
    a, b = np.random.default_rng(1).normal(size=(2, 25))
    got, want = diebold_mariano(a, b), stats.ttest_rel(a, b)
    assert got.statistic == pytest.approx(want.statistic, rel=1e-12)
    assert got.p_value == pytest.approx(want.pvalue, rel=1e-10)


def test_two_steps_by_hand():
    # d = 3, 1, -1, 1: mean 1, deviations 2, 0, -2, 0; gamma_0 = 2, gamma_1 = 0; S = 1 / sqrt(2 / 4);
    # correction sqrt((4 + 1 - 4 + 2 / 4) / 4).
    got = diebold_mariano([3.0, 1.0, -1.0, 1.0], np.zeros(4), h=2)
    assert got.difference == 1.0
    assert got.statistic == pytest.approx(np.sqrt(2) * np.sqrt(1.5 / 4), rel=1e-12)


def test_a_negative_variance_is_replaced():
    # Deviations alternate: gamma_0 = 1, gamma_1 = -7/8, so gamma_0 + 2 gamma_1 < 0; Bartlett gives 1 - 7/8.
    d = np.tile([1.0, -1.0], 4) + 0.25
    got = diebold_mariano(d, np.zeros(8), h=2)
    assert got.statistic == pytest.approx(
        0.25 / np.sqrt(0.125 / 8) * np.sqrt((8 + 1 - 4 + 2 / 8) / 8), rel=1e-12
    )


def test_losses_without_spread():
    same = diebold_mariano(np.arange(5.0), np.arange(5.0))
    assert (same.statistic, same.p_value) == (0.0, 1.0)
    always = diebold_mariano(np.arange(5.0), np.arange(5.0) + 1.0)
    assert (always.statistic, always.p_value) == (-np.inf, 0.0)


def test_gaps_are_left_out_by_row():
    a, b = np.random.default_rng(2).normal(size=(2, 3, 12))
    a[1, [2, 7]] = np.nan
    a[2, 1:] = np.nan
    got = diebold_mariano(a, b, h=2)
    keep = ~np.isnan(a[1])
    assert got.n.tolist() == [12, 10, 1]
    assert got.statistic[1] == diebold_mariano(a[1][keep], b[1][keep], h=2).statistic
    assert np.isnan(got.statistic[2])
    assert np.isnan(got.p_value[2])


def test_equally_good_forecasts_are_rejected_at_the_nominal_rate():
    # 2,000 draws of n = 16, two-step errors (MA(1)): the correction is there to keep the size near 5 %
    # in such small samples. The standard error of the rate is 0.5 %.
    e = np.random.default_rng(3).normal(size=(2, 2000, 17))
    e = e[..., 1:] + 0.5 * e[..., :-1]
    rate = (diebold_mariano(e[0] ** 2, e[1] ** 2, h=2).p_value < 0.05).mean()
    assert 0.02 < rate < 0.09


def test_h_must_be_positive():
    with pytest.raises(InputError, match="h must be 1"):
        diebold_mariano([1.0, 2.0], [1.0, 1.0], h=0)
