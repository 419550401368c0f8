"""What a training job says of itself: plain values that survive a restart as JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, NamedTuple

from forecast.errors import InputError, nearest
from pipelines.tracking.uri import shown


class Metric(NamedTuple):
    """Unit and meaning of a number that is logged."""

    unit: str
    meaning: str


# All names that are ever logged. MLflow makes a column of every name it has seen in an experiment, so
# one name a series would make its tables useless; what belongs to one series goes into the Parquet table.
METRICS: Final[Mapping[str, Metric]] = {
    "mase_mean": Metric("ratio", "mean absolute scaled error of the backtest, mean over series"),
    "mase_p50": Metric("ratio", "median over series"),
    "mase_p90": Metric("ratio", "90th percentile over series"),
    "smape_mean": Metric("percent", "symmetric mean absolute percentage error, 0 to 200"),
    "rmsse_mean": Metric("ratio", "root mean squared scaled error"),
    "crps_mean": Metric("units of y", "continuous ranked probability score"),
    "coverage_80": Metric("fraction", "observations inside the 80% interval"),
    "coverage_95": Metric("fraction", "observations inside the 95% interval"),
    "baseline_mase_mean": Metric("ratio", "mase_mean of the best baseline on the same windows"),
    "mase_skill": Metric(
        "fraction", "1 - mase_mean / baseline_mase_mean; positive is better than the baseline"
    ),
    "champion_mase_mean": Metric("ratio", "of a retrain: mase_mean of the champion on the same windows"),
    "champion_gain": Metric("fraction", "1 - mase_mean / champion_mase_mean; positive is better"),
    "p_value": Metric("probability", "of a retrain: that the gain over the champion is luck"),
    "n_events": Metric("events", "of drift that a retrain answers"),
    "n_refit": Metric("series", "that a retrain changes"),
    "n_series": Metric("series", "in the input"),
    "n_rows": Metric("rows", "in the input"),
    "n_gaps": Metric("series", "with missing values"),
    "n_ok": Metric("series", "fitted as asked"),
    "n_repaired": Metric("series", "whose AR part was pulled inside the unit circle"),
    "n_guarded": Metric("series", "where a baseline won the rolling origin and is used"),
    "n_fallback": Metric("series", "that a baseline forecasts for any other reason"),
    "n_failed": Metric("series", "whose fit failed"),
    "fit_seconds": Metric("s", "wall clock of the fit"),
    "backtest_seconds": Metric("s", "wall clock of the backtest"),
    "predict_seconds": Metric("s", "wall clock of the forecasts"),
    "total_seconds": Metric("s", "wall clock of the job up to its registration"),
}

# Goes into filters and folder names: nothing that would need quoting in either.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")

_DATASET_KEYS = ("source", "n_series", "n_rows", "digest", "freq")

Value = str | float | int


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that have a value; refuse a name that is not in `METRICS`."""
    for name in metrics:
        if name not in METRICS:
            raise InputError(f"there is no fleet metric {name!r}{nearest(name, METRICS)}")
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def check_plain(what: str, name: str) -> None:
    """Refuse a name that would need quoting in a filter or a folder."""
    if not _PLAIN.fullmatch(name):
        raise InputError(
            f"{what} must be 1 to 200 letters, digits, dots, dashes or underscores, "
            f"the first a letter or digit; got {name!r}"
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One configuration that was tried on the whole fleet."""

    name: str
    params: Mapping[str, Value] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("a candidate needs a name")
        object.__setattr__(self, "metrics", finite(self.metrics))


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A finished job, as it is logged.

    Parameters
    ----------
    job_id
        Unique name of the job; the key under which logging is idempotent.
    fleet
        Name of the fleet, of its experiment and of its registered model.
    params
        Settings of the job: few, the same names every night.
    candidates
        Configurations tried; each becomes a nested run. The first is what the job is for: `metrics` are its.
    metrics
        By name, of `METRICS`. A value that is not finite is unknown and left out.
    version
        sha256 of the model version.
    model_folder
        Folder of the model version, as `Fitted.save` writes it.
    per_series
        Parquet file, one row a series and fitted model; id and ``model`` are columns of it.
    dataset
        ``source, n_series, n_rows, digest, freq`` of the training data; a password in the source is dropped.
    horizon
        Steps ahead, 1 or more: what the logged model forecasts when it is not told.
    input_example
        Columns of a small frame that the logged model can be asked for; by default its first two series.
        A model with regressors needs one: id, time and regressors, `horizon` rows a series.
    champion
        Whether the store says, now, that this version is the champion of its fleet.
    report
        A file to keep with the run.
    scores
        Parquet file, one row a series and candidate: id, ``model`` and a column a score. What
        `forecast compare` tests runs by; without it by `per_series`, where baselines are missing.
    """

    job_id: str
    fleet: str
    params: Mapping[str, Value]
    candidates: tuple[Candidate, ...]
    metrics: Mapping[str, float]
    version: str
    model_folder: str
    per_series: str
    dataset: Mapping[str, Value]
    horizon: int
    input_example: Mapping[str, list[Any]] = field(default_factory=dict)
    champion: bool = False
    report: str | None = None
    scores: str | None = None

    def __post_init__(self) -> None:
        for name in ("job_id", "fleet"):
            check_plain(name, getattr(self, name))
        if self.horizon < 1:
            raise InputError(f"horizon must be 1 or more, got {self.horizon}")
        _same_names("dataset", self.dataset, _DATASET_KEYS)
        names = [candidate.name for candidate in self.candidates]
        if len(set(names)) < len(names):
            raise InputError(f"two candidates have the same name: {', '.join(names)}")
        object.__setattr__(
            self, "dataset", dict(self.dataset) | {"source": shown(str(self.dataset["source"]))}
        )
        object.__setattr__(self, "candidates", tuple(self.candidates))
        object.__setattr__(self, "metrics", finite(self.metrics))

    def to_json(self) -> str:
        """Return one JSON document; `from_json` is the inverse."""
        return json.dumps(asdict(self), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> JobSummary:
        """Return the summary that `to_json` wrote.

        Raises
        ------
        InputError
            The text is not such a document.
        """
        try:
            plain = json.loads(text)
            _same_names("summary", plain, [f.name for f in fields(cls)])
            plain["candidates"] = tuple(Candidate(**each) for each in plain["candidates"])
            return cls(**plain)
        except (ValueError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"the summary of a job cannot be read: {error}") from None


def _same_names(what: str, found: Iterable[str], wanted: Iterable[str]) -> None:
    found, wanted = set(found), set(wanted)
    if found != wanted:
        odd = sorted(found ^ wanted)
        raise InputError(
            f"{what} must hold {', '.join(sorted(wanted))}; missing or unknown: {', '.join(odd)}"
        )
