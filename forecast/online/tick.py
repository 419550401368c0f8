"""One tick as a pure function: State, Info = tick(model, state, y), by the filter of `models/filtering`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from forecast.errors import InputError
from forecast.kernels.stream import LARGEST
from forecast.models.assemble import take
from forecast.models.computed import computed_values, is_computed
from forecast.models.equations import equation, recursions
from forecast.models.filtering import move
from forecast.models.initial_state import Equation, Start
from forecast.models.records import Form, Records, Transform
from forecast.online.arguments import read_exog, read_value
from forecast.online.state import Info, State


def tick(
    records: Records, state: State, i: int, y: float, exog: Mapping[str, float] | None = None
) -> tuple[State, Info]:
    """Move one series over one tick.

    Pure: neither `records` nor `state` changes. Tick by tick the same answer as `advance` over all of them.

    Parameters
    ----------
    i
        Position of the series in `records`.
    y
        The value at the next grid time; NaN or None (or what has no logarithm, under a log transform, or
        an innovation beyond 1e154) is missing.
    exog
        Regressors of that time by name.

    Raises
    ------
    InputError
        `y` is not a number, or a regressor that the model needs is not given, or not finite.
    """
    one = take(records, np.array([i]))
    rec = recursions(one)
    given = read_exog(exog, _needed(one, state))
    m = _deterministic(one, state, given)
    if not math.isfinite(m):
        raise InputError(f"what the regressors add, with their kept past, is not finite: {given}")
    regression = one.form[0] == Form.REGRESSION
    w = _transformed(read_value(y), float(one.scale[0]), int(one.transform[0]))
    drive, seen = (0.0, w - m) if regression else (m, w)
    eq, start = equation(one, rec, 0), _thawed(state)
    mean, z, f = _moved(eq, start, seen, drive)
    if abs(z) >= LARGEST:  # missing, as in a slot
        start = _thawed(state)
        mean, z, f = _moved(eq, start, math.nan, drive)
    forecast = _untransformed(mean + m if regression else mean, float(one.scale[0]), int(one.transform[0]))
    standardised = None if math.isnan(z) else (z / math.sqrt(f) if f > 0 else z)
    return _frozen(start, state, given), Info(forecast, standardised, f)


def _needed(one: Records, state: State) -> list[str]:
    """Regressors whose value at a tick enters it, or what comes later."""
    now = {
        term.name
        for term, beta in zip(one.exog, one.beta[0].tolist(), strict=True)
        if beta != 0.0 and term.lag == 0 and not is_computed(term.name)
    }
    return sorted(now | set(state.exog_tail))


def _moved(eq: Equation, start: Start, seen: float, drive: float) -> tuple[float, float, float]:
    mean, z, f = move(eq, start, np.array([seen]), np.array([drive]))
    return float(mean[0]), float(z[0]), float(f[0])


def _deterministic(one: Records, state: State, exog: Mapping[str, float]) -> float:
    """m_t at the tick after `state`."""
    t = state.t + 1
    m = float(one.const[0] + one.slope[0] * t)
    if one.seasonal.shape[1]:
        m += float(one.seasonal[0, (t - 1) % max(int(one.season_length[0]), 1)])
    for j, term in enumerate(one.exog):
        beta = float(one.beta[0, j])
        if beta == 0.0:
            continue
        if is_computed(term.name):
            m += beta * float(computed_values(term.name, one.freq, one.start, np.array([state.t]))[0])
            continue
        m += beta * (exog[term.name] if term.lag == 0 else state.exog_tail[term.name][term.lag - 1])
    return m


def _transformed(y: float, scale: float, transform: int) -> float:
    w = y / scale
    if transform == Transform.LOG:
        w = math.log(w) if w > 0 else math.nan
    return w if math.isfinite(w) else math.nan


def _untransformed(w: float, scale: float, transform: int) -> float:
    return (math.exp(w) if transform == Transform.LOG else w) * scale


def _thawed(state: State) -> Start:
    size = len(state.levels) + len(state.innovations)
    P = np.zeros((size, size)) if state.cov is None else np.array(state.cov)
    return Start(state.t, np.array(state.levels), np.array(state.innovations), P, state.cov is None)


def _frozen(moved: Start, before: State, exog: Mapping[str, float]) -> State:
    tail = {}
    for name, past in before.exog_tail.items():
        tail[name] = (exog[name], *past[:-1])
    cov = None if moved.known else tuple(tuple(row) for row in moved.P.tolist())
    return State(before.t + 1, tuple(moved.levels.tolist()), tuple(moved.innov.tolist()), cov, tail)
