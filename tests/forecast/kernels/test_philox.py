"""Random numbers by counter: published vectors, an oracle in whole numbers, and the laws they must follow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from forecast.kernels.philox import choices, normal_quantile, normals, philox, uniform, uniforms
from tests.oracles import philox as oracle

WORD = st.integers(0, 2**32 - 1)
KEY = np.array([0x12345678, 0x9ABCDEF0], dtype=np.uint64)

# kat_vectors of the Random123 distribution, philox 4x32 10 (Salmon et al. 2011).
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]  # fmt: skip


def words(counter, key):
    return [int(w) for w in philox(*(np.uint64(w) for w in (*counter, *key)))]


@pytest.mark.parametrize(("counter", "key", "want"), KNOWN)
def test_known_answers(counter, key, want):
    assert words(counter, key) == want
    assert oracle.philox(counter, key) == want


@given(counter=st.lists(WORD, min_size=4, max_size=4), key=st.lists(WORD, min_size=2, max_size=2))
def test_words_are_those_of_the_definition(counter, key):
    assert words(counter, key) == oracle.philox(counter, key)


def test_the_number_of_a_place_does_not_depend_on_the_others():
    whole, part, one = np.empty((40, 9)), np.empty((7, 4)), np.empty((1, 1))
    for fill in (uniforms, normals):
        for out in (whole, part, one):
            fill(KEY, 3, out)
        np.testing.assert_array_equal(whole[:7, :4], part)
        assert one[0, 0] == whole[0, 0]


def test_a_place_by_the_definition():
    out = np.empty((6, 4))
    uniforms(KEY, 2, out)
    w = oracle.philox([1, 5, 2, 0], [int(k) for k in KEY])
    assert out[5, 3] == ((w[2] << 32 | w[3]) >> 12) * 2.0**-52 + 2.0**-53


def test_uniforms_never_reach_the_ends():
    top = np.uint64(2**32 - 1)
    assert uniform(np.uint64(0), np.uint64(0)) == 2.0**-53
    assert uniform(top, top) == 1.0 - 2.0**-53
    assert normal_quantile(2.0**-53) == -normal_quantile(1.0 - 2.0**-53) == pytest.approx(-8.2095, abs=1e-4)


@given(p=st.floats(1e-300, 1.0, exclude_max=True))
def test_quantiles_are_those_of_scipy(p):
    """AS 241 promises 1e-16 relative; rounding of log and root makes a few units of it. Zero is at 1/2."""
    assert normal_quantile(p) == pytest.approx(stats.norm.ppf(p), rel=4e-15, abs=1e-16)


@pytest.mark.parametrize(("p", "z"), [(0.5, 0.0), (0.975, 1.959963984540054), (0.25, -0.6744897501960817)])
def test_quantiles_by_hand(p, z):
    assert normal_quantile(p) == pytest.approx(z, rel=1e-15)


def test_normals_follow_their_law():
    """Chi-square over 64 cells, Kolmogorov-Smirnov, moments; 200,000 numbers of a fixed seed: no flakes."""
    out = np.empty((10_000, 20))
    normals(KEY, 0, out)
    z = np.sort(out.ravel())
    cells = np.histogram(stats.norm.cdf(z), 64, (0.0, 1.0))[0]
    assert stats.chisquare(cells).pvalue > 0.01
    assert stats.kstest(z, "norm").pvalue > 0.01
    assert stats.kstest(out[:, 7], "norm").pvalue > 0.01
    assert abs(out.mean()) < 4 / 447  # four standard errors
    assert abs(out.var() - 1) < 4 * 2**0.5 / 447


def test_neighbouring_places_keys_and_streams_are_uncorrelated():
    draws = []
    for key, stream in ((KEY, 0), (KEY, 1), (KEY + np.uint64(1), 0)):
        draws.append(np.empty((20_000, 4)))
        normals(key, stream, draws[-1])
    columns = np.hstack(draws)
    off = np.corrcoef(columns.T) - np.eye(12)
    assert abs(off).max() < 4.5 / 20_000**0.5  # largest of 66
    assert abs(np.corrcoef(columns[1:, 0], columns[:-1, 0])[0, 1]) < 4 / 20_000**0.5


def test_choices_cover_all_alike():
    out = np.empty((5_000, 12), dtype=np.int64)
    choices(KEY, 0, 7, out)
    assert stats.chisquare(np.bincount(out.ravel(), minlength=7)).pvalue > 0.01
    choices(KEY, 0, 1, out)
    assert not out.any()
