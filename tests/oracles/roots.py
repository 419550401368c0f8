"""Stationarity by exact fractions and by companion roots, from the formulas."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def step_down(phi):
    """Partial autocorrelations of the fractions that the floats are, exactly; None where |k| >= 1 ends it."""
    a = [Fraction(float(x)) for x in phi]
    k = [None] * len(a)
    while a:
        last = a[-1]
        k[len(a) - 1] = last
        if abs(last) >= 1:
            break
        m = len(a)
        a = [(a[i] + last * a[m - 2 - i]) / (1 - last * last) for i in range(m - 1)]
    return k


def margin(phi):
    """Exact min(1 - |k|), or 1 - |k| of the first |k| >= 1 from above."""
    k = step_down(phi)
    bad = [x for x in k if x is not None and abs(x) >= 1]
    return float(1 - abs(bad[0])) if bad else float(min([1 - abs(x) for x in k], default=Fraction(1)))


def step_up(k):
    """Durbin (1960), one order after another."""
    phi = np.zeros(0)
    for last in k:
        phi = np.append(phi - last * phi[::-1], last)
    return phi


def max_pole(phi):
    """Largest root of z^p - phi_1 z^(p-1) - ... by the eigenvalues of the companion matrix."""
    return float(np.abs(np.roots(np.r_[1.0, -np.asarray(phi)])).max(initial=0.0))
