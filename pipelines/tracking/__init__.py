"""What a training job leaves in MLflow: one run a job, one a candidate, one registered model a fleet.

MLflow lives in a process of its own (`Tracker`); importing this package imports nothing of it.
"""

from __future__ import annotations

from pipelines.tracking.bundle import BundleSummary, log_bundle
from pipelines.tracking.log import Logged, log_job
from pipelines.tracking.retrain import RetrainSummary, log_retrain
from pipelines.tracking.runs import runs
from pipelines.tracking.scores import SCORES, RunScores, Scored, scores
from pipelines.tracking.summary import METRICS, Candidate, JobSummary, Metric
from pipelines.tracking.tracker import Tracker

__all__ = [
    "METRICS",
    "SCORES",
    "BundleSummary",
    "Candidate",
    "JobSummary",
    "Logged",
    "Metric",
    "RetrainSummary",
    "RunScores",
    "Scored",
    "Tracker",
    "log_bundle",
    "log_job",
    "log_retrain",
    "runs",
    "scores",
]
