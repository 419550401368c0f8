"""Which series the parity vectors are about: some of every kind, and those nearest to the unit circle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.fleet import Fleet
from forecast.types import F64, I64


def sample(fleet: Fleet, bits: NDArray[np.integer], max_pole: F64, most: int) -> I64:
    """Return ascending rows of a fleet, at most `most`; one of every kind comes before a second of any.

    Parameters
    ----------
    bits
        (n,) how the parameters are stored: a part of what makes a kind.
    max_pole
        (n,) largest modulus of the poles.
    """
    kinds = np.column_stack([
        bits, fleet.log, fleet.regression, fleet.d, fleet.D, fleet.P > 0, fleet.q > 0, fleet.Q > 0,
        fleet.slope != 0, fleet.seasonal.any(axis=1), fleet.beta.any(axis=1),
        np.isin(np.arange(fleet.n), list(fleet.state_cov)), np.isnan(fleet.sigma2), fleet.p > 0,
    ]).astype(np.int64)  # fmt: skip
    _, kind = np.unique(kinds, axis=0, return_inverse=True)
    kind = kind.ravel()
    # The largest pole first, then the first of the file: rank 0 and 1 of each kind are taken.
    nearest = np.lexsort((np.arange(fleet.n), -max_pole, kind))
    first = np.r_[True, kind[nearest][1:] != kind[nearest][:-1]]
    picked = [nearest[first]]
    _, head = np.unique(kind, return_index=True)
    picked.append(head)
    rows = list(dict.fromkeys(np.concatenate(picked).tolist()))
    spread = np.linspace(0, fleet.n - 1, min(fleet.n, most)).round().astype(np.int64).tolist()
    return np.array(sorted(list(dict.fromkeys([*rows, *spread]))[:most]), dtype=np.int64)
