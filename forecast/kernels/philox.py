r"""Random numbers by counter: each follows from a key and its place, so that order and threads do not matter.

Philox-4x32-10: Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", SC'11.
Normals by inversion, AS 241: Wichura (1988), Applied Statistics 37, 477-484, relative error 1e-16. One
block of 128 bits makes the two numbers of a path at steps 2 k and 2 k + 1.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import exact_kernel
from forecast.types import F64, I64, U64

_MASK = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_ROUNDS = 10
_12 = np.uint64(12)

# The middle of a cell of 2^-52: never 0, never 1.
_CELL, _HALF_CELL = 2.0**-52, 2.0**-53


@exact_kernel
def philox(
    c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64, k0: np.uint64, k1: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Four words of 32 bits for a counter and a key; all of them as uint64 below 2^32."""
    for _ in range(_ROUNDS):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _MASK, (p0 >> _32) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return c0, c1, c2, c3


@exact_kernel
def uniform(high: np.uint64, low: np.uint64) -> float:
    """Return a number inside (0, 1) of two words: 52 of their bits."""
    return float(((high << _32) | low) >> _12) * _CELL + _HALF_CELL


@exact_kernel
def normal_quantile(p: float) -> float:
    """Inverse of the standard normal distribution function (AS 241, PPND16)."""
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * _ratio(
            r, 3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
            45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
            42.313330701600911252, 687.18700749205790830, 5394.1960214247511077, 21213.794301586595867,
            39307.895800092710610, 28729.085735721942674, 5226.4952788528545610,
        )  # fmt: skip
    r = np.sqrt(-np.log(min(p, 1.0 - p)))
    if r <= 5.0:
        z = _ratio(
            r - 1.6, 1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550,
            3.64784832476320460504, 1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833,
            7.74545014278341407640e-4, 2.05319162663775882187, 1.67638483018380384940,
            0.689767334985100004550, 0.148103976427480074590, 0.0151986665636164571966,
            5.47593808499534494600e-4, 1.05075007164441684324e-9,
        )  # fmt: skip
    else:
        z = _ratio(
            r - 5.0, 6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580,
            0.296560571828504891230, 0.0265321895265761230930, 1.24266094738807843860e-3,
            2.71155556874348757815e-5, 2.01033439929228813265e-7, 0.599832206555887937690,
            0.136929880922735805310, 0.0148753612908506148525, 7.86869131145613259100e-4,
            1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
        )  # fmt: skip
    return -z if q < 0.0 else z


@exact_kernel
def _ratio(
    r: float, a0: float, a1: float, a2: float, a3: float, a4: float, a5: float, a6: float, a7: float,
    b1: float, b2: float, b3: float, b4: float, b5: float, b6: float, b7: float,
) -> float:  # fmt: skip
    """Ratio of two polynomials of degree 7, the second with constant term 1."""
    above = ((((((a7 * r + a6) * r + a5) * r + a4) * r + a3) * r + a2) * r + a1) * r + a0
    below = ((((((b7 * r + b6) * r + b5) * r + b4) * r + b3) * r + b2) * r + b1) * r + 1.0
    return above / below


@exact_kernel
def uniforms(key: U64, stream: int, out: F64) -> None:
    """Fill (n_paths, h) with numbers inside (0, 1).

    Parameters
    ----------
    key
        (2,) words below 2^32: of the seed and the series.
    stream
        Which of several independent draws of that series this is.
    """
    paths, h = out.shape
    for i in range(paths):
        c1, c3 = np.uint64(i) & _MASK, np.uint64(i) >> _32
        for k in range(0, h, 2):
            w0, w1, w2, w3 = philox(np.uint64(k >> 1), c1, np.uint64(stream), c3, key[0], key[1])
            out[i, k] = uniform(w0, w1)
            if k + 1 < h:
                out[i, k + 1] = uniform(w2, w3)


@exact_kernel
def normals(key: U64, stream: int, out: F64) -> None:
    """As `uniforms`, standard normal."""
    uniforms(key, stream, out)
    paths, h = out.shape
    for i in range(paths):
        for k in range(h):
            out[i, k] = normal_quantile(out[i, k])


@exact_kernel
def choices(key: U64, stream: int, n: int, out: I64) -> None:
    """As `uniforms`, whole numbers 0..n-1."""
    draws = np.empty(out.shape)
    uniforms(key, stream, draws)
    paths, h = out.shape
    for i in range(paths):
        for k in range(h):
            out[i, k] = min(int(draws[i, k] * n), n - 1)
