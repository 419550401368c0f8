"""Tables of scores out of MLflow: bounded, checked, and never more than Parquet."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecast.errors import InputError
from pipelines.errors import TrackingError
from pipelines.tracking import Tracker, log_job, runs, scores
from pipelines.tracking import scores as ask_scores
from pipelines.tracking.scores import _read

TABLE = pd.DataFrame(
    {"shop": [1, 2, 1, 2], "model": ["AR", "AR", "Naive", "Naive"], "mase": [0.5, 0.6, 1.0, np.nan]}
)


def written(folder: Path, table: pd.DataFrame | pa.Table) -> Path:
    file = folder / "t.parquet"
    pq.write_table(pa.Table.from_pandas(table) if isinstance(table, pd.DataFrame) else table, file)
    return file


def test_ids_are_text_whatever_the_column_is_called(tmp_path):
    found = _read(written(tmp_path, TABLE), "mase")
    assert list(found["id"]) == ["1", "2", "1", "2"]
    assert found["score"].dtype == np.float64


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (TABLE.drop(columns="mase"), "no mase of each series"),
        (TABLE.drop(columns="model"), "no mase of each series"),
        (TABLE[:0], "is empty"),
        (TABLE.assign(mase="high"), "is no number"),
        (TABLE.assign(mase=[[1.0], [2.0], [1.0], [2.0]]), "nested"),
        (pa.table({"id": pa.nulls(60_000_000, pa.int8()), "model": pa.nulls(60_000_000, pa.int8()),
                   "mase": pa.nulls(60_000_000, pa.float32())}), "unpacks to 1440 MB"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_scores_is_refused(tmp_path, table, said):
    with pytest.raises(InputError, match=said):
        _read(written(tmp_path, table), "mase")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\x80\x04\x95pickle", b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_refused(tmp_path, content):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        _read(tmp_path / "t.parquet", "mase")


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(InputError, match="no score 'coverage'"):
        ask_scores("http://127.0.0.1:9", "shop", [], "coverage")
    with pytest.raises(InputError, match="job to compare with"):
        ask_scores("http://127.0.0.1:9", "shop", [], against="a' or 'b")


ops = pytest.mark.skipif(find_spec("mlflow") is None, reason="needs forecast-platform[track]")


@pytest.fixture(scope="module")
def tracker(uri):
    with Tracker(uri) as started:
        yield started


@pytest.fixture(scope="module")
def nights(uri, tracker, job, tmp_path_factory):
    """Three jobs: one with scores, the champion; one on other data; one with a report only."""
    file = written(tmp_path_factory.mktemp("scores"), TABLE.assign(model=["ar2", "ar2", "naive", "naive"]))
    first = replace(job, fleet="scored", scores=str(file))
    other = replace(first, job_id="night-2", champion=False, dataset=job.dataset | {"digest": "ef" * 32})
    for each in (first, other, replace(first, job_id="night-3", champion=False, scores=None)):
        log_job(each, uri, 120, tracker=tracker)
    table = runs(uri, "scored", tracker=tracker).set_index("job_id")["run_id"]
    return table.to_dict()


@ops
@pytest.mark.ops
@pytest.mark.slow
def test_scores_come_back_with_what_they_were_made_on(uri, tracker, nights):
    found = scores(uri, "scored", list(nights.values()), tracker=tracker)
    assert found.champion == nights["night-1"]
    first, other, report = (found.runs[nights[f"night-{k}"]] for k in (1, 2, 3))
    assert (first.model, first.main, first.job_id, first.digest) == ("ar2", True, "night-1", "cd" * 18)
    assert first.scores.to_dict() == {"1": 0.5, "2": 0.6}
    assert first.basis["horizon"] == "6"
    assert other.digest == "ef" * 18
    assert report.scores is None
    assert "no mase of each series" in report.why


@ops
@pytest.mark.ops
@pytest.mark.slow
def test_a_candidate_has_the_rows_of_its_name(uri, tracker, nights):
    table = runs(uri, "scored", candidates=True, tracker=tracker)
    mine = table[(table["candidate"] == "naive") & (table["job_id"] == "night-1")]["run_id"].iloc[0]
    run = scores(uri, "scored", [mine], tracker=tracker).runs[mine]
    assert (run.job, run.model, run.main) == (nights["night-1"], "naive", False)
    assert run.scores["1"] == 1.0


@ops
@pytest.mark.ops
@pytest.mark.slow
def test_the_reference_is_found_by_its_job_or_as_the_champion(uri, tracker, nights):
    run_id = nights["night-2"]
    assert scores(uri, "scored", [run_id], against="night-1", tracker=tracker).against == nights["night-1"]
    assert scores(uri, "scored", [run_id], against="champion", tracker=tracker).against == nights["night-1"]
    nobody = scores(uri, "scored", [run_id], against="night-9", tracker=tracker)
    assert nobody.against is None
    with pytest.raises(TrackingError, match="names no champion of 'nofleet'"):
        scores(uri, "nofleet", [run_id], against="champion", tracker=tracker)


@ops
@pytest.mark.ops
@pytest.mark.slow
def test_a_table_that_is_too_large_is_not_fetched(uri, tracker, nights):
    run_id = nights["night-1"]
    run = scores(uri, "scored", [run_id], limit_bytes=500, tracker=tracker).runs[run_id]
    assert run.scores is None
    assert "--most-mb" in run.why


def test_a_server_that_sends_more_than_it_says_is_stopped(tmp_path):
    from pipelines.tracking.run_scores import _no_file_over

    with _no_file_over(1000), pytest.raises(OSError, match="large"):
        (tmp_path / "x").write_bytes(b"x" * 5000)
    (tmp_path / "y").write_bytes(b"x" * 5000)  # as before
    assert (tmp_path / "x").stat().st_size == 1000


@ops
@pytest.mark.ops
@pytest.mark.slow
def test_a_server_that_is_down_is_told():
    with pytest.raises(TrackingError) as caught:
        scores("http://127.0.0.1:9", "scored", ["0" * 32], timeout_s=30)
    assert caught.value.retriable
