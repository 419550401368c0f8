"""Log a retrain: what drifted, what was refitted, how it was judged; beside the nightly trainings."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from forecast.errors import InputError
from pipelines.tracking.log import TIMEOUT_S, answer_of, experiment_of
from pipelines.tracking.summary import Candidate, Value, check_plain, finite
from pipelines.tracking.tracker import Tracker


@dataclass(frozen=True, slots=True)
class RetrainSummary:
    """What MLflow is told of a retrain job, whether or not a version came of it."""

    job: int
    """Id in the queue of the store: one run in MLflow for each."""
    fleet: str
    outcome: str
    """In a word or two, "promoted", "shadow", "rejected"; it may change from one call to the next."""
    reason: str
    """Of the judgement, for people."""
    parent_version: str
    """sha256 of the champion that it was judged against."""
    parent_run_id: str | None = None
    """Of the parent's run in MLflow; None: not known."""
    version: str | None = None
    """sha256 of the version that came of it; None: nothing was good enough."""
    params: Mapping[str, Value] = field(default_factory=dict)
    """Few, under the names that trainings use (model, horizon, windows, freq): MLflow's plots need both."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the judgement, by name, of `METRICS`: mase_mean, champion_mase_mean, p_value, n_events, n_refit."""
    candidates: tuple[Candidate, ...] = ()
    """Challenger first, then champion, on the same windows: nested runs, as those of a training."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Of the judgement, plain JSON: kept as a file of the run."""
    scores: str | None = None
    """Parquet file, one row a series and candidate: id, ``model`` and a column a score."""
    digest: str | None = None
    """Of the data that it was judged on: runs of the same are comparable."""

    def __post_init__(self) -> None:
        check_plain("fleet", self.fleet)
        if self.job < 1:
            raise InputError(f"a retrain job has an id of 1 or more, got {self.job}")
        names = [candidate.name for candidate in self.candidates]
        if len(set(names)) < len(names):
            raise InputError(f"two candidates have the same name: {', '.join(names)}")
        object.__setattr__(self, "metrics", finite(self.metrics))
        object.__setattr__(self, "candidates", tuple(self.candidates))

    @property
    def job_id(self) -> str:
        """Name of its run: ``retrain-12``."""
        return f"retrain-{self.job}"

    def to_json(self) -> str:
        """Return one JSON document; a number that is not finite is written as text."""
        return json.dumps(_plain(asdict(self)), sort_keys=True, allow_nan=False, default=str)

    @classmethod
    def from_json(cls, text: str) -> RetrainSummary:
        """Read what `to_json` wrote."""
        found = json.loads(text)
        found["candidates"] = tuple(Candidate(**each) for each in found["candidates"])
        return cls(**found)


def log_retrain(
    summary: RetrainSummary,
    tracking_uri: str,
    timeout_s: float = TIMEOUT_S,
    experiment: str | None = None,
    tracker: Tracker | None = None,
) -> str:
    """Log a retrain and return the id of its run; the same job again completes it, and updates the outcome.

    The run lies beside those of trainings in the experiment of the fleet, not under one: MLflow's table and
    `forecast compare` show both in one list. Where `mirror_fleet` made a run for the version already, or
    makes one later, it is the same run.

    Raises
    ------
    TrackingError
        MLflow is absent, down, slow or refuses; `retriable` when it may go better later. A promotion does not
        wait for it.
    InputError
        The tracking URI is of another kind.
    """
    whole = replace(summary, scores=None if summary.scores is None else os.path.abspath(summary.scores))
    request = {
        "do": "retrain",
        "summary": whole.to_json(),
        "experiment": experiment or experiment_of(summary.fleet),
    }
    return str(answer_of(request, tracking_uri, timeout_s, tracker)["run_id"])


def _plain(value: Any) -> Any:  # noqa: ANN401  # anything JSON can hold
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value - value != 0:  # NaN, inf
        return str(value)
    return value
