"""The self-test: the models answer here what they answered where they were made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .arrays import Arrays
from .errors import BundleError, ParityError, RequestError
from .model import Model
from .readiness import check_ready
from .schema import Schema, read_schema
from .verify import VerifiedBundle

# A bundle that allows more than this tests nothing.
LARGEST_RTOL: Final = 1e-2

_REQUIRED: Final = ("mean", "variance")
_OPTIONAL: Final = ("lo", "hi", "imputed", "z")


@dataclass(frozen=True, slots=True)
class Parity:
    """Largest relative error of a file of models over its vectors, and what was allowed."""

    model: str
    rows: int
    error: float
    rtol: float


def self_test(bundle: VerifiedBundle) -> tuple[Parity, ...]:
    """Load every model of the bundle and run it on the parity vectors, and see that the rest is there.

    Raises
    ------
    ParityError
        An answer differs by more than the tolerance in the vectors.
    BundleError
        A model cannot be loaded, or the vectors do not fit it; states or time zone are none of this device.
    """
    schema = read_schema(bundle.read("schema.json"))
    check_ready(bundle, schema)
    vectors = Arrays(bundle.read("parity.npz"), "parity.npz")
    profile, done = bundle.manifest.profile, []
    for name, prefix in (("model.onnx", "closed"), ("step.onnx", "step")):
        if not bundle.has(name):
            continue
        model = Model(bundle.read(name), name, profile)
        measure = _closed if prefix == "closed" else _step
        try:
            error, rows = measure(model, vectors, schema)
        except RequestError as refused:
            raise BundleError(f"the vectors do not fit: {refused}") from None
        done.append(_judged(name, rows, error, float(vectors.of_shape(f"{prefix}.rtol", "f8").item())))
    return tuple(done)


def _judged(name: str, rows: int, error: float, rtol: float) -> Parity:
    if not 0 < rtol <= LARGEST_RTOL:
        raise BundleError(
            f"parity.npz allows {name} a relative error of {rtol}; at most {LARGEST_RTOL} is a test"
        )
    if not error <= rtol:
        raise ParityError(
            f"{name} does not answer here as where it was made: its relative error is {error:.3g}, "
            f"allowed are {rtol:.3g}"
        )
    return Parity(name, rows, error, rtol)


def _closed(model: Model, vectors: Arrays, schema: Schema) -> tuple[float, int]:
    rows = len(vectors.of_shape("closed.lags", "f8", -1, schema.n_lags))
    if rows == 0:
        raise BundleError("parity.npz has no rows for model.onnx")
    got = model.run({name: vectors[f"closed.{name}"] for name in model.inputs if f"closed.{name}" in vectors})
    worst = 0.0
    for name in ("mean", "variance", "lo", "hi"):
        if name in _REQUIRED or (name in got and f"closed.{name}" in vectors):
            want = vectors.of_shape(f"closed.{name}", "f8", *got[name].shape)
            worst = max(worst, relative_error(got[name], want))
    return worst, rows


def _step(model: Model, vectors: Arrays, schema: Schema) -> tuple[float, int]:
    y = vectors.of_shape("step.y", "f8", -1, -1)
    calls, rows = y.shape
    if calls * rows == 0:
        raise BundleError("parity.npz has no ticks for step.onnx")
    feeds = {name: vectors[f"step.{name}"] for name in ("index", "t") if f"step.{name}" in vectors}
    feeds["state"] = vectors.of_shape("step.state", "f8", rows, schema.M)
    feeds["cov"] = vectors.of_shape("step.cov", "f8", rows, schema.M, schema.M)
    x = vectors.get("step.x")
    said: list[dict[str, NDArray[np.float64]]] = []
    for call in range(calls):
        if x is not None:
            feeds["x"] = x[call]
        got = model.run({**feeds, "y": y[call]})
        feeds["state"], feeds["cov"] = got["state_out"], got["cov_out"]
        if "t" in feeds:
            feeds["t"] = feeds["t"] + 1
        said.append({name: got[name] for name in (*_REQUIRED, *_OPTIONAL) if name in got})
    answers = {name: np.stack([one[name] for one in said]) for name in said[0]}
    return max(_compared(answers, vectors), _states(feeds, answers["variance"], vectors)), calls * rows


def _compared(answers: dict[str, NDArray[np.float64]], vectors: Arrays) -> float:
    worst = 0.0
    for name in (*_REQUIRED, *_OPTIONAL):
        if name not in answers or (name in _OPTIONAL and f"step.{name}" not in vectors):
            continue
        got, want = answers[name], vectors.of_shape(f"step.{name}", "f8", *answers[name].shape)
        if name in ("imputed", "z"):  # one number a tick: a series is measured over all its ticks
            got, want = got.T, want.T
        worst = max(worst, relative_error(got, want))
    return worst


def _states(last: dict[str, NDArray[Any]], variance: NDArray[np.float64], vectors: Arrays) -> float:
    """Return the error of the state after the last tick; a covariance is measured by the variance of y."""
    worst = 0.0
    if "step.state_out" in vectors:
        want = vectors.of_shape("step.state_out", "f8", *last["state"].shape)
        worst = relative_error(last["state"], want)
    if "step.cov_out" in vectors:
        want = vectors.of_shape("step.cov_out", "f8", *last["cov"].shape)
        gap = np.abs(last["cov"] - want).reshape(len(want), -1).max(axis=1, initial=0.0)
        worst = max(worst, float((gap / variance[-1, :, 0]).max()))
    return worst


def relative_error(got: NDArray[np.float64], want: NDArray[np.float64]) -> float:
    """Return the largest difference in a row of the last axis over the largest reference of that row.

    NaN equals NaN alone: else the error is infinite. A row of zeros has to be met exactly.
    """
    if got.shape != want.shape:
        return np.inf
    if got.size == 0:
        return 0.0
    if not np.array_equal(np.isnan(got), np.isnan(want)):
        return np.inf
    got, want = np.nan_to_num(got, nan=0.0), np.nan_to_num(want, nan=0.0)
    gap, size = np.abs(got - want).max(axis=-1), np.abs(want).max(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(gap == 0, 0.0, gap / size)
    return float(ratio.max())
