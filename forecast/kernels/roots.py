"""Stationarity of lag polynomials: Schur-Cohn step-down, step-up, pole radius, repair.

The polynomial is 1 - phi_1 L - ... - phi_p L^p; its poles are the roots of
z^p - phi_1 z^(p-1) - ... - phi_p, all inside the unit circle when it is stationary. No kernel
here asks for roots: the step-down decides where root finders err (many lags, close roots).

Sources: Schur (1917) and Cohn (1922); Durbin (1960); Barndorff-Nielsen and Schou (1973),
*J. Multivariate Analysis* 3; Monahan (1984), *Biometrika* 71. Oracle: ``tests/oracles/roots.py``.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import exact_kernel
from forecast.types import F64, I64, Bool

# Halvings of the bracket of a pole radius. The bracket is at most some 10 radii wide, so 42 leave
# 2e-12 of it; each further one costs a step-down, and nothing is decided that close.
HALVINGS = 42

# Coefficients of the highest lags below this count as 0 when poles are looked for. radius^-p is at most
# 1 / |phi_p|, so anything larger keeps it inside float64.
NO_COEFFICIENT = 1e-300

# Largest partial autocorrelation after a repair. Closer to 1 the variance 1 / (1 - k^2) of one
# factor passes 5,000 innovations; farther away good models of slow series would be changed.
PARCOR_LIMIT = 1.0 - 1e-4

# Tries of a repair. Each pulls the poles in by a further thousandth, so the last has them
# below 0.94 of the limit; polynomials drawn at random need one or two.
REPAIR_TRIES = 64


@exact_kernel
def reduce_order(a: F64, m: int, k: float) -> None:
    r"""Turn the order-m coefficients a[:m], whose last is k, into those of order m - 1, in place.

    .. math:: \phi_{m-1,i} = (\phi_{m,i} + k\,\phi_{m,m-i}) / (1 - k^2)
    """
    scale = 1.0 / ((1.0 - k) * (1.0 + k))
    low = 0
    high = m - 2
    while low < high:
        below = (a[low] + k * a[high]) * scale
        a[high] = (a[high] + k * a[low]) * scale
        a[low] = below
        low += 1
        high -= 1
    if low == high:
        a[low] /= 1.0 - k  # (1 + k) cancels: one rounding less where k is close to -1


@exact_kernel
def step_down(phi: F64, p: int, k_out: F64) -> float:
    """Write the partial autocorrelations of one polynomial and return its margin.

    Parameters
    ----------
    phi
        (>= p,) coefficients, ``phi[0]`` multiplies lag 1.
    p
        Order; 0 is white noise, with margin 1.
    k_out
        (>= p,) written: ``k_out[m - 1]`` is the partial autocorrelation at lag m.

    Returns
    -------
    margin
        min(1 - |k|); positive exactly when the polynomial is stationary. The recursion goes from
        lag p down and ends at the first |k| >= 1 it meets, because what lies below has no
        meaning any more: the margin is then 1 - |k| <= 0 of that lag and the lower lags are NaN.
        NaN where a coefficient is NaN.

    Notes
    -----
    O(p^2) time, no allocation: the lower orders live in `k_out` until they are final.
    """
    for i in range(p):
        k_out[i] = phi[i]
    margin = 1.0
    for m in range(p, 0, -1):
        k = k_out[m - 1]
        room: float = 1.0 - abs(k)
        if not room > 0.0:
            for i in range(m - 1):
                k_out[i] = np.nan
            return room
        margin = min(margin, room)
        reduce_order(k_out, m, k)
    return margin


@exact_kernel
def step_up(k: F64, p: int, phi_out: F64) -> None:
    r"""Write the coefficients that have the partial autocorrelations k[:p].

    .. math:: \phi_{m,i} = \phi_{m-1,i} - k_m\,\phi_{m-1,m-i}, \quad \phi_{m,m} = k_m
    """
    for m in range(1, p + 1):
        last = k[m - 1]
        low = 0
        high = m - 2
        while low < high:
            below = phi_out[low] - last * phi_out[high]
            phi_out[high] -= last * phi_out[low]
            phi_out[low] = below
            low += 1
            high -= 1
        if low == high:
            phi_out[low] *= 1.0 - last
        phi_out[m - 1] = last


@exact_kernel
def poles_inside(phi: F64, p: int, radius: float, work: F64) -> bool:
    """Whether every pole is closer to 0 than `radius`: phi_i / radius^i is stationary."""
    shrink = 1.0
    for i in range(p):
        shrink /= radius
        work[i] = phi[i] * shrink
    for m in range(p, 0, -1):
        k = work[m - 1]
        if not abs(k) < 1.0:
            return False
        reduce_order(work, m, k)
    return True


@exact_kernel
def max_pole(phi: F64, p: int, work: F64) -> float:
    """Return the largest modulus of the poles, by bisection on `poles_inside`.

    Brackets: no pole exceeds 2 max |phi_i|^(1/i) (Fujiwara 1916), and the largest is no smaller
    than the geometric mean |phi_p|^(1/p). Exact to about 1e-12 for simple poles; a pole that is
    m-fold is known to the m-th root of the rounding, as with every method in float64.
    `work` is (>= p,) scratch.
    """
    while p > 0 and abs(phi[p - 1]) < NO_COEFFICIENT:
        p -= 1
    if p == 0:
        return 0.0
    low: float = abs(phi[p - 1]) ** (1.0 / p)
    if p == 1:
        return low
    high = 0.0
    for i in range(p):
        if not np.isfinite(phi[i]):
            return np.nan
        high = max(high, 2.0 * abs(phi[i]) ** (1.0 / (i + 1)))
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if poles_inside(phi, p, middle, work):
            high = middle
        else:
            low = middle
    return high


@exact_kernel
def clamp(phi: F64, p: int, limit: float, work: F64) -> None:
    """Bound the partial autocorrelations of a stationary polynomial to |k| <= limit, in place.

    Coefficients move by no more than a few times 1 - limit. One that is not stationary is left
    alone: its partial autocorrelations below the first |k| >= 1 mean nothing, and clamping them
    puts poles where there were none. `work` is (>= p,) scratch.
    """
    margin = step_down(phi, p, work)
    if margin > 0.0 and margin < 1.0 - limit:
        for i in range(p):
            work[i] = min(max(work[i], -limit), limit)
        step_up(work, p, phi)


@exact_kernel
def repair(phi: F64, p: int, radius: float, least: float, work: F64) -> bool:
    """Pull one polynomial inside the gate, in place; False when it was there already.

    The gate: poles below `radius`, margin above `least` (< 1 - `PARCOR_LIMIT`). Poles outside are dealt
    with by shrinking all of them alike, phi_i r^i, which keeps their angles (the periods); then
    the partial autocorrelations are clamped to `PARCOR_LIMIT`. Coefficients that are not
    finite become 0. `work` is (>= p,) scratch.
    """
    for i in range(p):
        if not np.isfinite(phi[i]):
            phi[:p] = 0.0
            return True
    target = radius
    for attempt in range(REPAIR_TRIES):
        inside = poles_inside(phi, p, radius, work)
        if inside and step_down(phi, p, work) > least:
            return attempt > 0
        target *= 0.999
        if not inside:
            shrink = target / max_pole(phi, p, work)
            factor = 1.0
            for i in range(p):
                factor *= shrink
                phi[i] *= factor
        clamp(phi, p, PARCOR_LIMIT, work)
    phi[:p] = 0.0
    return True


@exact_kernel
def step_down_rows(phi: F64, p: I64, parcor: F64, margin: F64, first: int, last: int) -> None:
    """`step_down` of rows first..last: phi and parcor (n, width), p and margin (n,)."""
    for i in range(first, last):
        parcor[i, p[i] :] = 0.0
        margin[i] = step_down(phi[i], p[i], parcor[i])


@exact_kernel
def step_up_rows(parcor: F64, p: I64, phi: F64, first: int, last: int) -> None:
    """`step_up` of rows first..last: parcor and phi (n, width), p (n,)."""
    for i in range(first, last):
        phi[i, p[i] :] = 0.0
        step_up(parcor[i], p[i], phi[i])


@exact_kernel
def max_pole_rows(phi: F64, p: I64, out: F64, first: int, last: int) -> None:
    """`max_pole` of rows first..last: phi (n, width), p and out (n,)."""
    work = np.empty(phi.shape[1])
    for i in range(first, last):
        out[i] = max_pole(phi[i], p[i], work)


@exact_kernel
def repair_rows(phi: F64, p: I64, radius: F64, least: float, changed: Bool, first: int, last: int) -> None:
    """`repair` of rows first..last, in place: phi (n, width), p, radius and changed (n,)."""
    work = np.empty(phi.shape[1])
    for i in range(first, last):
        changed[i] = repair(phi[i], p[i], radius[i], least, work)
