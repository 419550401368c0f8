"""Fleets and calls of graph A that its tests share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime as ort

from edge.fleet import Fleet
from edge.graph.plain import signature
from edge.quantize.codec import MOST, decode
from edge.quantize.quantized import Quantized
from forecast.models.assemble import take
from forecast.models.records import ExogTerm
from tests.oracles import edge_graphs, roots
from tests.record_strategies import object_array
from tests.strategies import make_records


def session(data):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def plain_records(n, p, seed=0, limit=0.7):
    """Stationary AR(p) about means of their own, all in the same form."""
    rng = np.random.default_rng(seed)
    phi = np.array([roots.step_up(rng.uniform(-limit, limit, p)) for _ in range(n)]).reshape(n, p)
    const = rng.normal(size=n) * (1.0 - phi.sum(axis=1)) * 10
    return make_records(
        n, phi=phi, const=const, sigma2=rng.gamma(2.0, size=n), levels=rng.normal(size=(n, max(1, p)))
    )


def mixed_records(n, seed=0, exog=(), max_p=4):
    """Series of every kind in one file: both forms, orders, differences, seasons, transforms, units."""
    rng = np.random.default_rng(seed)
    p, P = rng.integers(0, max_p + 1, n), rng.integers(0, 3, n)
    d, D = rng.integers(0, 3, n), rng.integers(0, 2, n)
    s = rng.choice([1, 4, 7], n)
    phi, seasonal = np.zeros((n, max_p)), np.zeros((n, 2))
    for i in range(n):
        phi[i, : p[i]] = roots.step_up(rng.uniform(-0.8, 0.8, p[i])) if p[i] else 0
        seasonal[i, : P[i]] = roots.step_up(rng.uniform(-0.8, 0.8, P[i])) if P[i] else 0
    width = np.maximum(1, p + d + s * (P + D))
    lagged = list(dict.fromkeys(term.name for term in exog if term.lag))
    deepest = max((term.lag for term in exog), default=0) if lagged else 0
    beta = rng.normal(size=(n, len(exog))) * rng.integers(0, 2, (n, len(exog)))
    return make_records(
        n, p=p.astype(np.int32), P=P.astype(np.int32), d=d.astype(np.int32), D=D.astype(np.int32),
        season_length=s.astype(np.int32), phi=phi, seasonal_phi=seasonal,
        form=rng.integers(0, 2, n).astype(np.uint8),
        const=rng.normal(size=n) * 0.1, slope=np.where(rng.random(n) < 0.5, rng.normal(size=n) * 1e-3, 0.0),
        seasonal=rng.normal(size=(n, 7)) * rng.integers(0, 2, (n, 1)),
        beta=beta, exog=tuple(exog), exog_tail=rng.normal(size=(n, len(lagged), deepest)),
        sigma2=rng.gamma(2.0, size=n), levels=rng.normal(size=(n, int(width.max()))),
        nobs=rng.integers(60, 500, n).astype(np.int32),
        transform=rng.integers(0, 2, n).astype(np.uint8),
        scale=2.0 ** rng.integers(-2, 3, n), oos_scale=rng.choice([np.nan, 0.5, 1.5], n),
        ids=object_array([f"s{i}" for i in range(n)]),
    )  # fmt: skip


EXOG = (
    ExogTerm("temp"), ExogTerm("temp", 2), ExogTerm("wind", 1), ExogTerm("fourier(12.0,sin,1)"),
    ExogTerm("fourier(7.5,cos,2)"),
)  # fmt: skip


def inputs(fleet, index, horizon, seed=0):
    """A call for the series `index` with made-up data; positive, so that LOG has something to take."""
    rng = np.random.default_rng(seed)
    taken = signature(fleet)
    B = len(index)
    feed = {"lags": np.exp(rng.normal(size=(B, taken.n_lags)) * 0.3) * 5}
    if fleet.n > 1:
        feed["index"] = np.asarray(index, dtype=np.int64)
    if taken.needs_t:
        feed["t"] = rng.integers(50, 1000, B)
    if taken.names:
        feed["x"] = rng.normal(size=(B, taken.n_past + horizon, len(taken.names)))
    return feed


def answers(records, fleet, index, feed, horizon, levels=()):
    """What graph A should say, from the definitions: mean, variance, and lo, hi with levels."""
    taken = signature(fleet)
    found = [
        edge_graphs.forecast(
            take(records, np.array([i])), fleet.names, taken.n_past,
            {name: value[b] for name, value in feed.items()}, horizon, levels,
        )
        for b, i in enumerate(index)
    ]  # fmt: skip
    return [np.array(column) for column in zip(*found, strict=True)][: 4 if levels else 2]


def gap(got, expected, variance, log, scale, allowed=1.0):
    """Largest difference over max(|mean|, sd) and over `allowed`; sd in units of y where that has one."""
    sd = np.where(log[:, None], 0.0, np.sqrt(variance) * scale[:, None])
    difference, size = np.abs(got - expected), np.maximum(np.abs(expected), sd)
    # Means under LOG that are zero in both, and nothing beside them, do not differ.
    return float((np.divide(difference, size, out=difference.copy(), where=size > 0) / allowed).max())


def coded(records, seed=0, n16=None, n4=None):
    """Codes for the AR factors of `records`, made by rounding alone, in classes of any size."""
    fleet = Fleet.of(records)
    rng = np.random.default_rng(seed)
    n = fleet.n
    n16 = n // 3 if n16 is None else n16
    n4 = n // 3 if n4 is None else n4
    bits = np.repeat([16, 8, 4], [n16, n - n16 - n4, n4]).astype(np.uint8)
    most = np.array([MOST[b] for b in bits.tolist()])
    order = rng.permutation(n)
    codes, scale = _rounded(fleet.parcor[order], most)
    seasonal_codes, seasonal_scale = _rounded(fleet.seasonal_parcor[order], most)
    zeros = np.zeros(n)
    return Quantized(
        order, codes, scale, seasonal_codes, seasonal_scale, decode(codes, scale),
        decode(seasonal_codes, seasonal_scale), bits, zeros, zeros, zeros, np.zeros(n, dtype=np.int64), 24,
    )  # fmt: skip


def _rounded(parcor, most):
    angle = np.arcsin(parcor)
    scale = (np.abs(angle).max(axis=1, initial=0.0) / most).astype(np.float32)
    scale = np.where(scale > 0, np.nextafter(scale, np.float32(0)), np.float32(1))
    codes = np.clip(np.round(angle / scale[:, None]), -most[:, None], most[:, None])
    return codes.astype(np.int16), scale.astype(np.float32)


def as_decoded(records, codes):
    """The records that a coded file stands for: other coefficients, and constants that keep the level."""
    some = take(records, codes.order)
    fleet = Fleet.of(some)
    gain = (1 - codes.phi.sum(axis=1)) * (1 - codes.seasonal_phi.sum(axis=1))
    const = np.where(fleet.regression, some.const, some.const * gain / fleet.gain)
    phi, seasonal = np.zeros_like(some.phi), np.zeros_like(some.seasonal_phi)
    phi[:, : codes.phi.shape[1]] = codes.phi
    seasonal[:, : codes.seasonal_phi.shape[1]] = codes.seasonal_phi
    return replace(some, phi=phi, seasonal_phi=seasonal, const=const)
