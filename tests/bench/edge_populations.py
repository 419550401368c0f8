"""AR models of eight populations, from a written seed: what quantisation is measured on.

Each function draws n models: reflection coefficients (n, p), and both factors of seasonal ones. They are as
hard for plain rounding as the populations that the design was measured on. The figures in the docstrings say
how hard: rounding the lag coefficients to int8 (the largest to 127), the share of models that become unstable
and the median rise of the forecast RMSE over 24 steps; then that of plain rounding in the arcsine domain.
No setting of the quantiser was chosen by the two populations that are held out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.quantize.models import Models
from edge.quantize.polynomial import product, step_down

SEED = 20_261_121
SEASON = 24


@dataclass(frozen=True)
class Population:
    name: str
    models: Models
    held_out: bool = False


def populations(n, seed=SEED):
    """The eight, n models each; the ninth and tenth are held out."""
    rng = np.random.default_rng(seed)
    plain = {
        "random AR(8)": random_ar(n, 8, rng),
        "random AR(24)": random_ar(n, 24, rng),
        "near unit root AR(2)": near_unit(n, 2, rng),
        "near unit root AR(8)": near_unit(n, 8, rng),
        "near unit root AR(24)": near_unit(n, 24, rng),
        "resonant AR(8)": resonant(n, rng),
        "seasonal expanded AR(25)": seasonal_expanded(n, rng),
    }
    out = [Population(name, Models.plain(k)) for name, k in plain.items()]
    out.append(Population("AR(q) x SAR(1), factored", seasonal_factored(n, rng)))
    held = {"uniform in phi AR(24)": uniform_ar(n, 24, rng), "slow cycle AR(8)": slow_cycle(n, 8, rng)}
    return out + [Population(name, Models.plain(k), held_out=True) for name, k in held.items()]


def random_ar(n, p, rng):
    """k = tanh(0.4 z), z standard normal. AR(8): 0 %, 0.002 %; 0.001 %. AR(24): 36 %, 0.40 %; 0.08 %."""
    return np.tanh(0.4 * rng.normal(size=(n, p)))


def near_unit(n, p, rng):
    """A real pole at 1 - 10^-u, u uniform in (2, 4), a real one within +-0.98, pairs of moduli 0.5 to 0.98.

    AR(2): 31 %, 1.0 %; 0.0001 %. AR(8): 48 %, 9 %; 0.004 %. AR(24): 72 %, 385 %; 0.015 %.
    """
    first, second = 1 - 10 ** rng.uniform(-4, -2, n), rng.uniform(-0.98, 0.98, n)
    return _of_poles(np.c_[first, second, _pairs(rng.uniform(0.5, 0.98, (n, p // 2 - 1)), rng)])


def resonant(n, rng):
    """Four pairs of poles at 1 - u, u log-uniform in (0.001, 0.05), any angle. 64 %, 120 %; 0.23 %."""
    return _of_poles(_pairs(1 - np.exp(rng.uniform(np.log(0.001), np.log(0.05), (n, 4))), rng))


def seasonal_expanded(n, rng):
    """(1 - phi L)(1 - Phi L^24) expanded; phi in (0.1, 0.9), Phi in (0.9, 0.999). 2 %, 0.008 %; 0.058 %."""
    phi, seasonal = rng.uniform(0.1, 0.9, (n, 1)), rng.uniform(0.9, 0.999, (n, 1))
    return step_down(product(phi, seasonal, SEASON))


def seasonal_factored(n, rng):
    """(1 - phi(L))(1 - Phi L^24), phi a random AR(q), q in 1..6, Phi in (0.5, 0.999); each has its codes."""
    q = rng.integers(1, 7, n)
    k = np.where(np.arange(6) < q[:, None], random_ar(n, 6, rng), 0.0)
    seasonal, one, none = rng.uniform(0.5, 0.999, (n, 1)), np.ones(n, np.int64), np.zeros(n, np.int64)
    return Models(k, q, seasonal, one, one * SEASON, none, none)


def uniform_ar(n, p, rng):
    """Uniform over all stationary phi (Jones 1987): k_j of the law of 2 Beta - 1. 22 %, 0.48 %; 0.04 %."""
    j = np.arange(1, p + 1)
    return 2.0 * rng.beta((j + 1) // 2, j // 2 + 1, (n, p)) - 1.0


def slow_cycle(n, p, rng):
    """A pair of poles at 1 - 10^-u, u in (2, 4), of any angle, others at 0.5 to 0.98. 48 %, 22 %; 0.5 %."""
    radius = np.c_[1 - 10 ** rng.uniform(-4, -2, n), rng.uniform(0.5, 0.98, (n, p // 2 - 1))]
    return _of_poles(_pairs(radius, rng))


def _pairs(radius, rng):
    pole = radius * np.exp(1j * rng.uniform(0, np.pi, radius.shape))
    return np.c_[pole, pole.conj()]


def _of_poles(poles):
    """Multiply (1 - z_i L) out and step down."""
    a = np.zeros((len(poles), poles.shape[1] + 1), complex)
    a[:, 0] = 1.0
    for pole in poles.T:
        a[:, 1:] -= pole[:, None] * a[:, :-1]
    return step_down(-a[:, 1:].real)
