from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from forecast.errors import InputError
from pipelines.tracking import METRICS, Candidate, JobSummary
from pipelines.tracking.uri import resolve_uri, shown

ROOT = Path(__file__).parents[3]


def a_summary(**changes) -> JobSummary:
    plain = JobSummary(
        job_id="j",
        fleet="shop",
        params={"model": "AR", "folds": 3, "alpha": 0.5},
        candidates=(Candidate("a", {"lags": 2}, {"mase_mean": 1.5}), Candidate("b")),
        metrics={"mase_mean": 1.25},
        version="ab" * 32,
        model_folder="m",
        per_series="p.parquet",
        dataset={"source": "x", "n_series": 1, "n_rows": 2, "digest": "d", "freq": "D"},
        horizon=3,
        input_example={"unique_id": ["a", "b"]},
    )
    return replace(plain, **changes)


def test_json_brings_back_the_same_summary():
    summary = a_summary()
    assert JobSummary.from_json(summary.to_json()) == summary


def test_there_are_no_more_metrics_than_a_table_takes_and_each_says_its_unit():
    # Twenty of trainings, five that retrains have on top: columns of one table.
    assert 18 <= len(METRICS) <= 28
    assert all(metric.unit and metric.meaning for metric in METRICS.values())


def test_a_value_that_is_unknown_is_left_out():
    summary = a_summary(metrics={"mase_mean": math.nan, "mase_p50": math.inf, "n_ok": 1})
    assert summary.metrics == {"n_ok": 1.0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": {"mase_maen": 1.0}}, "did you mean 'mase_mean'"),
        ({"job_id": "o'brien"}, "job_id must be"),
        ({"fleet": "../up"}, "fleet must be"),
        ({"fleet": ""}, "fleet must be"),
        ({"horizon": 0}, "horizon"),
        ({"dataset": {"source": "x"}}, "missing or unknown: digest, freq, n_rows, n_series"),
        ({"candidates": (Candidate("a"), Candidate("a"))}, "same name"),
    ],
)
def test_what_cannot_be_logged_is_refused_at_once(change, said):
    with pytest.raises(InputError, match=said):
        a_summary(**change)


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"job_id": 1}), "3"])
def test_another_document_is_refused(text):
    with pytest.raises(InputError):
        JobSummary.from_json(text)


def test_importing_loads_no_mlflow():
    code = "import sys, pipelines.tracking; print({'mlflow', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_relative_file_gets_its_place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert resolve_uri("sqlite:///x.db") == f"sqlite:///{tmp_path}/x.db"
    assert resolve_uri("http://host:5000/") == "http://host:5000"


@pytest.mark.parametrize(
    "bad", ["mlruns", "file:///x", "postgresql://ann:secret@db/mlflow", "", "sqlite:///"]
)
def test_another_kind_of_uri_is_refused_and_no_password_is_said(bad):
    with pytest.raises(InputError, match="sqlite:///FILE") as caught:
        resolve_uri(bad)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("postgresql://ann:p@ss@db:5432/x", "postgresql://db:5432/x"),
        ("https://host/a@b", "https://host/a@b"),
        ("data/x.parquet", "data/x.parquet"),
        ("select a from b where c = 'x://y@z'", "select a from b where c = 'x://y@z'"),
    ],
)
def test_user_and_password_are_never_shown(uri, said):
    assert shown(uri) == said
