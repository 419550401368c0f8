"""Graph A: the stateless forecast, model.onnx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from edge.fleet import Fleet
from edge.graph.builder import Graph
from edge.graph.closed import closed_forecast
from edge.graph.inputs import declare
from edge.graph.plain import Plain, signature
from edge.graph.tables import Tables
from edge.graph.units import publish, to_w
from edge.graph.unrolled import Form, unrolled_forecast
from edge.quantize.quantized import Quantized
from forecast.errors import InputError
from forecast.models.forecasting import check_request

Profile = Literal["latency", "size", "balanced"]
PROFILES: Final[tuple[Profile, ...]] = ("latency", "size", "balanced")


def forecast_model(
    fleet: Fleet,
    horizon: int,
    levels: Sequence[float] = (),
    profile: Profile = "latency",
    quantized: Quantized | None = None,
) -> bytes:
    """Return model.onnx.

    Parameters
    ----------
    fleet
        Series without moving average.
    horizon
        Steps, >= 1.
    levels
        Coverage of the intervals in percent; without any there are no outputs `lo` and `hi`.
    profile
        How several series are stored. "latency": coefficients in float64 as they are, and what follows
        from them alone; "size": codes, decoded in each call; "balanced": codes, decoded when the file is
        loaded. A file of one series is always in closed form, in float64.
    quantized
        The codes; series then stand in the order of ``quantized.order``. Needed by "size" and
        "balanced" where any of several series has an AR part; "latency" does not look at it.

    Notes
    -----
    Inputs: `index` int64 (B,) unless there is one series; `lags` (B, n_lags) newest first; `t` int64 (B,)
    and `x` (B, n_past + H, names) where `signature` says so. Outputs: `mean` (B, H), units of y; `variance`
    (B, H), of innovations alone, calibrated, units of w squared; `lo`, `hi` (B, levels, H), units of y.
    Tensors `phi` (series, p) and, where there is one, `seasonal_phi`, hold what the file makes of the
    coefficients.

    Raises
    ------
    InputError
        A series has a moving average; the horizon, a level or the profile makes no sense; codes are missing.
    """
    check_request(horizon, levels)
    if profile not in PROFILES:
        raise InputError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    if profile != "latency" and quantized is not None:
        fleet = fleet.take(quantized.order)
    form, plain = Form(profile, None), Plain.of(fleet)
    if profile != "latency" and fleet.n > 1 and (fleet.phi.any() or fleet.seasonal_phi.any()):
        if quantized is None:
            raise InputError(f"profile {profile!r} stores codes: give `quantized`, from edge.quantize")
        form = Form(profile, quantized)
    graph = Graph("forecast")
    inputs = declare(graph, signature(fleet), fleet.n, horizon)
    tables = Tables(graph, inputs.index)
    w = to_w(tables, fleet, inputs.lags)
    if fleet.n == 1:
        center, variance = closed_forecast(tables, plain, inputs, w, horizon)
    else:
        center, variance = unrolled_forecast(tables, plain, form, inputs, w, horizon)
    publish(tables, fleet, center, variance, levels, horizon)
    meta = {"kind": "forecast.model", "profile": "closed" if fleet.n == 1 else profile}
    data: bytes = graph.model(meta).SerializeToString(deterministic=True)
    return data
