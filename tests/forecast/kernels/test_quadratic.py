"""The quadratic forms against einsum, at widths that differ."""

import numpy as np
from numpy.testing import assert_allclose

from forecast.kernels.quadratic import quadratic_forms

STEPS = 5


def test_forms_of_several_widths_land_in_their_rows():
    rng = np.random.default_rng(4)
    widths, place = np.array([1, 3, 7, 2]), np.array([4, 0, 5, 2])
    ends = np.concatenate([[0], np.cumsum(widths)])
    responses = rng.normal(size=(ends[-1], STEPS))
    cov = [a @ a.T for a in (rng.normal(size=(m, m)) for m in widths)]
    out = np.full((6, STEPS), np.nan)
    quadratic_forms(responses, ends, np.concatenate([c.ravel() for c in cov]), place, out)
    for i, row in enumerate(place):
        r = responses[ends[i] : ends[i + 1]]
        assert_allclose(out[row], np.einsum("kh,kl,lh->h", r, cov[i], r), rtol=1e-12)
    assert np.isnan(out[[1, 3]]).all()
