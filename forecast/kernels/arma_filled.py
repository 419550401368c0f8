"""A series without its gaps, for a cheap search of where the likelihood with them may have its maxima.

A missing point is filled by what an autoregression longer than the model expects from both sides: the least
squares of an additive outlier, a coordinate at a time. Source: Brubacher and Tunnicliffe Wilson (1976),
"Interpolating time series with application to the estimation of holiday effects on electricity demand",
Applied Statistics 25.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_buffers import Data, pad_of
from forecast.kernels.arma_polynomial import Shape
from forecast.kernels.arma_start import long_ar, long_order
from forecast.types import F64, I64

# Times that the autoregression is fitted to what the last one filled.
_FITS = 2
# Rounds over the missing points, neighbours of one another in a longer gap: enough for a starting point.
_ROUNDS = 2


@kernel
def _residuals(phi: F64, w: F64, e: F64) -> None:
    """Write one-step errors, from zeros."""
    e[:] = w
    for j in range(len(phi)):
        for t in range(j + 1, len(w)):
            e[t] -= phi[j] * w[t - 1 - j]


@kernel
def _response(phi: F64, diff: F64, out: F64) -> None:
    """Write the coefficients of the autoregression times the differences."""
    out[:] = 0.0
    for i in range(len(diff)):
        out[i] += diff[i]
        for j in range(len(phi)):
            out[i + 1 + j] -= phi[j] * diff[i]


@kernel
def _refill(holes: I64, diff: F64, response: F64, w: F64, e: F64) -> None:
    """Move each missing point to where the errors it has a part in are smallest."""
    n = len(w)
    for hole in holes:
        along, size = 0.0, 0.0
        for i in range(min(len(response), n - hole)):
            along += response[i] * e[hole + i]
            size += response[i] * response[i]
        step = -along / size
        for i in range(min(len(response), n - hole)):
            e[hole + i] += step * response[i]
        for i in range(min(len(diff), n - hole)):
            w[hole + i] += step * diff[i]


@large_kernel
def fill_gaps(shape: Shape, data: Data) -> Data:
    """Return the data with nothing missing; points that differencing cuts stay as they are filled there."""
    out_of_line()
    n, pad, r = data.n, pad_of(shape), data.columns.shape[0] - data.n_flat - 1
    w, e, phi = np.empty(n), np.empty(n), np.zeros(long_order(shape, n))
    response = np.empty(len(phi) + len(data.diff))
    w[:] = data.columns[data.n_flat + r, pad:]
    for _ in range(_FITS):
        phi[:] = 0.0
        long_ar(w, len(phi), phi)
        _residuals(phi, w, e)
        _response(phi, data.diff, response)
        for _ in range(_ROUNDS):
            _refill(data.holes, data.diff, response, w, e)
    columns = np.zeros((r + 1, pad + n))
    columns[:] = data.columns[data.n_flat :]
    columns[r, pad:] = w
    none, low = np.zeros(0, dtype=np.int64), np.zeros(r + 1, dtype=np.int64)
    return Data(columns, n, 0, none, data.diff, n, low)
