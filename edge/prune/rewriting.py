"""From a new equation to a record that everything downstream accepts."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.prune.batch import Outcome
from edge.prune.history import Histories
from edge.prune.refit import Refit, covariance
from forecast.models.ar_records import finish
from forecast.models.assemble import take
from forecast.models.certificate import certify
from forecast.models.records import Form, Records
from forecast.types import F64, I64, Status

_REPAIRED = "with fewer lags the AR part was not stationary: poles pulled inside the unit circle"


def rewritten(data: Histories, rows: I64, found: Outcome, jobs: int) -> Records:
    """Return the records of `rows` with the equations of `found`, their end state and residual check."""
    part = take(data.records, rows)
    arrays: dict[str, Any] = {
        name: getattr(part, name).copy()
        for name in ("phi", "p", "const", "slope", "seasonal", "beta", "sigma2", "n_params", "n_used",
                     "loglik", "status")
    }  # fmt: skip
    param_cov, messages = dict(part.param_cov), dict(part.messages)
    for k, i in enumerate(rows.tolist()):
        fit, moved = found.fits[i], found.moved[i]
        _write(arrays, k, fit, part.form[k] == Form.CONDITIONAL)
        cov = param_cov.pop(k, None)
        if cov is not None and not moved and part.form[k] == Form.CONDITIONAL:
            param_cov[k] = covariance(fit)
        if moved:
            arrays["status"][k] = Status.REPAIRED
            messages[k] = f"{messages[k]}; {_REPAIRED}" if k in messages else _REPAIRED
    width = max(1, int(arrays["p"].max()))
    arrays["phi"] = np.ascontiguousarray(arrays["phi"][:, :width])
    fresh = replace(part, **arrays, param_cov=param_cov, messages=messages)
    return finish(fresh, data.panel.take(rows), jobs)


def _write(arrays: dict[str, Any], k: int, fit: Refit, conditional: bool) -> None:
    dropped = np.count_nonzero(arrays["phi"][k]) - len(fit.lags)
    arrays["phi"][k] = 0.0
    arrays["phi"][k, : len(fit.phi)] = fit.phi
    arrays["p"][k] = fit.lags.max(initial=0)
    arrays["n_params"][k] = max(int(arrays["n_params"][k]) - dropped, 0)
    arrays["n_used"][k] = fit.n
    arrays["sigma2"][k] = fit.rss / fit.n
    arrays["loglik"][k] = -0.5 * fit.n * (np.log(2 * np.pi * fit.rss / fit.n) + 1.0)
    if not conditional:
        return
    rest = fit.b.tolist()[::-1]  # in the order of `History.z`: const, slope, seasonal, beta
    if arrays["const"][k] != 0.0:
        arrays["const"][k] = rest.pop() + fit.center * (1.0 - fit.phi.sum())
    if arrays["slope"][k] != 0.0:
        arrays["slope"][k] = rest.pop()
    for name in ("seasonal", "beta"):
        for j in np.flatnonzero(arrays[name][k]).tolist():
            arrays[name][k, j] = rest.pop()


def written(records: Records, rows: I64, part: Records) -> Records:
    """Return `records` with `part` at `rows`; every other row is the same to the last bit."""
    if not records.parcor.shape[1] and records.phi.shape[1]:
        records = replace(records, parcor=certify(records.phi, records.p).parcor)
    columns: dict[str, Any] = {}
    new_rows = set(rows.tolist())
    for name in (f.name for f in fields(Records)):
        old, new = getattr(records, name), getattr(part, name)
        if isinstance(old, dict):
            kept = {i: value for i, value in old.items() if i not in new_rows}
            columns[name] = dict(sorted((kept | {int(rows[i]): v for i, v in new.items()}).items()))
        elif isinstance(old, np.ndarray) and name != "ids":
            columns[name] = _placed(old, rows, new)
    return _trimmed(replace(records, **columns))


def _placed(old: NDArray[Any], rows: I64, new: NDArray[Any]) -> NDArray[Any]:
    shape = tuple(max(a, b) for a, b in zip(old.shape[1:], new.shape[1:], strict=True))
    out = np.zeros((len(old), *shape), dtype=old.dtype)
    every: tuple[Any, ...] = (slice(None), *(slice(k) for k in old.shape[1:]))
    some: tuple[Any, ...] = (rows, *(slice(k) for k in new.shape[1:]))
    out[every] = old
    out[rows] = 0
    out[some] = new
    return out


def _trimmed(records: Records) -> Records:
    """Drop the columns that no series needs any more."""
    lags = max(1, int(records.p.max()))
    span = records.p + records.d + records.season_length * (records.P + records.D)
    return replace(
        records,
        phi=_first(records.phi, lags),
        parcor=_first(records.parcor, lags),
        levels=_first(records.levels, max(1, int(span.max()))),
    )


def _first(matrix: F64, width: int) -> F64:
    return np.ascontiguousarray(matrix[:, :width])
