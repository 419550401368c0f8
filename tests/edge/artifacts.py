"""One of every kind of graph that is exported, from fixed parameters, with inputs and the library's answers.

Shared by the tests on older ONNX Runtimes and on aarch64, and by those of parity here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.bundle.states import States
from edge.fleet import Fleet
from edge.graph.model import Profile, forecast_model
from edge.graph.step import step_model
from edge.quantize import Quantized, quantize
from forecast.models.records import ExogTerm, Form, Records, Transform
from tests.edge.worlds import HORIZON, LEVELS, World, closed_answer, step_answers, world
from tests.services.edge.graph_runner import TICKS
from tests.strategies import make_records

T = 400
# Relative to the largest value of the same series and output: weights in float32 (closed), float64 (step).
CLOSED, STEP = 1e-6, 1e-12
SINGLE_NUMBERS = ("z", "imputed")
TICKS_EACH = 40


@dataclass(frozen=True, eq=False)
class Artifact:
    """A graph, what goes in (as `tests/services/edge/graph_runner.py` has it), and what must come out."""

    name: str
    graph: bytes
    inputs: Mapping[str, NDArray[Any]]
    expected: Mapping[str, NDArray[np.float64]]
    tolerance: float

    def write(self, folder: Path) -> None:
        (folder / f"{self.name}.onnx").write_bytes(self.graph)
        np.savez(folder / f"{self.name}.in.npz", **self.inputs)

    def error(self, outputs: Mapping[str, NDArray[Any]]) -> float:
        """Largest error; of what is one number a tick, relative to the largest of all ticks."""
        return max(
            difference(outputs[name].T, want.T) if name in SINGLE_NUMBERS else difference(outputs[name], want)
            for name, want in self.expected.items()
        )


def difference(got: NDArray[Any], want: NDArray[Any]) -> float:
    """Largest difference, relative to the largest of its row; infinite where only one of the two is NaN."""
    got, want = np.atleast_2d(got), np.atleast_2d(want)
    if got.shape != want.shape or (np.isfinite(got) != np.isfinite(want)).any():
        return float("inf")
    scale = np.abs(np.nan_to_num(want)).max(axis=-1, keepdims=True)
    off = np.abs(np.nan_to_num(got) - np.nan_to_num(want)) / np.where(scale > 0, scale, 1.0)
    return float(off.max(initial=0.0))


def step_up(parcor: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, p) coefficients of (n, p) partial autocorrelations (Durbin 1960)."""
    phi = np.zeros_like(parcor)
    for m in range(parcor.shape[1]):
        before = phi[:, :m].copy()
        phi[:, :m] = before - parcor[:, m, None] * before[:, ::-1]
        phi[:, m] = parcor[:, m]
    return phi


def ar(seed: int, p: int, n: int = 1, size: float = 0.6, **fields: Any) -> Records:
    """AR(p) with partial autocorrelations within +-size, and some constant."""
    rng = np.random.default_rng(seed)
    parcor = rng.uniform(-size, size, (n, p))
    values = {
        "nobs": T, "phi": step_up(parcor), "parcor": parcor, "const": rng.uniform(0.2, 1.0, n),
        "sigma2": rng.uniform(0.5, 2.0, n), "oos_scale": rng.choice([np.nan, 0.8, 1.3], n),
    }  # fmt: skip
    return make_records(n, **(values | fields))


def mixed_fleet(seed: int, each: int) -> Records:
    """Three kinds of AR(24): with few significant lags, with many, and with sharp resonances, in turns."""
    rng = np.random.default_rng(seed)
    parcor = np.zeros((3 * each, 24))
    parcor[0::3, :2] = rng.uniform(-0.5, 0.5, (each, 2))
    parcor[1::3] = rng.uniform(-0.6, 0.6, (each, 24))
    phi = step_up(parcor)
    for i in range(2, 3 * each, 3):
        phi[i, :20] = resonant(rng, 10)
    n = 3 * each
    log = (np.arange(n) % 3 == 0) & (rng.random(n) < 0.5)
    return make_records(
        n, nobs=T, phi=phi, const=rng.uniform(0.2, 1.0, n), sigma2=rng.uniform(0.01, 0.5, n),
        transform=np.where(log, Transform.LOG, Transform.NONE).astype(np.uint8),
        scale=rng.uniform(0.5, 2.0, n),
    )  # fmt: skip


def resonant(rng: np.random.Generator, pairs: int) -> NDArray[np.float64]:
    """(2 pairs,) coefficients with complex poles of modulus 0.95 to 0.999, close together."""
    poles = rng.uniform(0.95, 0.999, pairs) * np.exp(1j * np.pi * rng.uniform(0.1, 0.9, pairs))
    return -np.poly(np.r_[poles, poles.conj()]).real[1:]


def exog_records(form: Form = Form.CONDITIONAL, **fields: Any) -> Records:
    terms = (ExogTerm("temp"), ExogTerm("temp", 2), ExogTerm("price"), ExogTerm("fourier(7.0,sin,1)"))
    return ar(3, 3, beta=[0.5, -0.3, 0.8, 0.4], exog=terms, form=form, **fields)


def sarima_records(n: int = 1, **fields: Any) -> Records:
    """SARIMA(1,1,1)(0,1,1)12."""
    rng = np.random.default_rng(7)
    orders = {"d": 1, "D": 1, "season_length": 12, "theta": rng.uniform(-0.6, 0.6, (n, 1))}
    return ar(7, 1, n, seasonal_theta=rng.uniform(-0.6, 0.6, (n, 1)), **{"const": 0.0, **orders, **fields})


def step_fleet() -> Records:
    """Every order that differs from series to series, two of three with a moving average."""
    rng, n = np.random.default_rng(11), 9
    p, q, d = np.arange(n) % 4, np.arange(n) % 3, np.arange(n) % 2
    phi, theta = step_up(rng.uniform(-0.6, 0.6, (n, 3))), rng.uniform(-0.4, 0.4, (n, 2))
    for i in range(n):
        phi[i] = np.r_[step_up(rng.uniform(-0.6, 0.6, (1, p[i])))[0], np.zeros(3 - p[i])]
        theta[i, q[i] :] = 0.0
    return make_records(
        n, nobs=T, phi=phi, theta=theta, p=p.astype(np.int32), q=q.astype(np.int32), d=d.astype(np.int32),
        D=np.arange(n).astype(np.int32) // 5, season_length=np.full(n, 4, np.int32),
        const=rng.uniform(0.1, 0.5, n),
        sigma2=rng.uniform(0.5, 1.5, n),
    )  # fmt: skip


# Whatever a single series may have; the regressors to be supplied are `temp` and `price`.
SINGLE: dict[str, Callable[[], Records]] = {
    "ar": lambda: ar(1, 24),
    "exog": exog_records,
    "regression": lambda: exog_records(Form.REGRESSION, slope=0.002),
    "differenced": lambda: ar(4, 3, d=1),
    "seasonal": lambda: ar(5, 2, D=1, season_length=12, seasonal_phi=[0.4]),
    "effects": lambda: ar(6, 2, season_length=7, seasonal=[0.1, -0.2, 0.3, 0.0, 0.5, -0.4, 0.2], slope=0.001),
    "log": lambda: ar(8, 4, transform=int(Transform.LOG), scale=2.5, sigma2=0.04),
}
STEPS: dict[str, Callable[[], Records]] = {
    **SINGLE,
    "sarima": sarima_records,
    "arimax": lambda: exog_records(theta=[0.4], d=1),
    "fleet": step_fleet,
}
FLEETS: dict[str, Callable[[], Records]] = {
    "mixed": lambda: mixed_fleet(9, 12),
    "factors": lambda: ar(
        10, 3, 16, seasonal_phi=np.random.default_rng(10).uniform(-0.5, 0.7, (16, 1)), season_length=12
    ),
}
PROFILES: tuple[Profile, ...] = ("latency", "balanced", "size")
NAMES = ("price", "temp")


def inputs_of(graph: bytes) -> dict[str, list[int | str]]:
    """Names and shapes of what a graph asks for; a text is a size known at run time."""
    declared = onnx.load_from_string(graph).graph.input
    return {
        value.name: [size.dim_value or size.dim_param for size in value.type.tensor_type.shape.dim]
        for value in declared
    }


def closed_inputs(
    graph: bytes, made: World, fleet: Fleet, places: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """One call for all series of a world, which stand at `places` in the file."""
    asked = inputs_of(graph)
    given: dict[str, NDArray[Any]] = {"index": places, "lags": made.lags(int(asked["lags"][1]))}
    given["t"] = np.full(len(places), made.origin, dtype=np.int64)
    if "x" in asked:
        n_past = int(asked["x"][1]) - made.horizon
        given["x"] = made.regressors(list(fleet.names), n_past, made.horizon)
    return {name: given[name] for name in asked}


def step_inputs(graph: bytes, made: World, fleet: Fleet) -> dict[str, NDArray[Any]]:
    """Every tick of a world, beginning where its records stand."""
    asked, states = inputs_of(graph), States.of(fleet)
    given: dict[str, NDArray[Any]] = {
        "index": np.arange(fleet.n), "state": np.array(states.state), "cov": states.full_cov(),
        f"{TICKS}y": made.y[:, made.origin :].T.copy(),
        f"{TICKS}t": np.tile(made.origin + np.arange(made.n_ticks)[:, None], fleet.n),
    }  # fmt: skip
    if "x" in asked:
        n_past, names = int(asked["x"][1]) - 1 - made.horizon, list(fleet.names)
        rows = [made.regressors(names, n_past, 1 + made.horizon, at) for at in range(made.n_ticks)]
        given[f"{TICKS}x"] = np.stack(rows)
    return {key: value for key, value in given.items() if key.removeprefix(TICKS) in asked}


def step_graph(fleet: Fleet, levels: tuple[float, ...] = LEVELS, horizon: int = HORIZON) -> bytes:
    return step_model(fleet, horizon, levels)


def step_artifact(kind: str, ticks: int = TICKS_EACH) -> Artifact:
    made = world(STEPS[kind](), NAMES, ticks=ticks)
    fleet = Fleet.of(made.records)
    graph = step_graph(fleet)
    return Artifact(f"step-{kind}", graph, step_inputs(graph, made, fleet), step_answers(made), STEP)


def closed_graph(fleet: Fleet, levels: tuple[float, ...] = LEVELS, horizon: int = HORIZON) -> bytes:
    return forecast_model(fleet, horizon, levels)


def fleet_graph(
    fleet: Fleet,
    coded: Quantized,
    profile: Profile,
    levels: tuple[float, ...] = LEVELS,
    horizon: int = HORIZON,
) -> tuple[bytes, NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return model.onnx, where each series stands in it, and the factors that it has."""
    if profile == "latency":  # as they are, in the order of the fleet
        graph = forecast_model(fleet, horizon, levels, "latency")
        return graph, np.arange(fleet.n), fleet.phi, fleet.seasonal_phi
    graph = forecast_model(fleet, horizon, levels, profile, coded)
    places = np.argsort(coded.order)
    return graph, places, coded.phi[places], coded.seasonal_phi[places]


def closed_artifact(kind: str) -> Artifact:
    made = world(SINGLE[kind](), NAMES)
    fleet = Fleet.of(made.records)
    graph = closed_graph(fleet)
    inputs = closed_inputs(graph, made, fleet, np.zeros(1, dtype=np.int64))
    return Artifact(f"closed-{kind}", graph, inputs, closed_answer(made), CLOSED)


def fleet_artifact(kind: str, profile: Profile) -> Artifact:
    made = world(FLEETS[kind](), NAMES)
    fleet = Fleet.of(made.records)
    coded = quantize(fleet, horizon=HORIZON)
    graph, places, phi, seasonal_phi = fleet_graph(fleet, coded, profile)
    inputs = closed_inputs(graph, made, fleet, places)
    answer = closed_answer(with_factors(made, fleet, phi, seasonal_phi))
    return Artifact(f"fleet-{kind}-{profile}", graph, inputs, answer, CLOSED)


def with_factors(
    made: World, fleet: Fleet, phi: NDArray[np.float64], seasonal_phi: NDArray[np.float64]
) -> World:
    """Give the series other factors and the mean that they had."""
    records = made.records
    gain = (1.0 - phi.sum(axis=1)) * (1.0 - seasonal_phi.sum(axis=1))
    const = np.where(fleet.mean != 0, fleet.mean * gain, records.const)
    return replace(made, records=replace(records, phi=phi, seasonal_phi=seasonal_phi, const=const))


@cache
def all_artifacts() -> tuple[Artifact, ...]:
    """One of every kind."""
    return (
        *(closed_artifact(kind) for kind in SINGLE),
        *(fleet_artifact(kind, profile) for kind in FLEETS for profile in PROFILES),
        *(step_artifact(kind) for kind in STEPS),
    )
