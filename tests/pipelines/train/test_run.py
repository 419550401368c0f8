from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.errors import InputError
from pipelines.errors import StoreError, TrainError
from pipelines.settings import load_settings
from pipelines.train.history import History
from pipelines.train.run import run
from pipelines.train.run_folder import create, reopen
from tests.pipelines.train.conftest import sales
from tests.pipelines.train.fakes import FakeMlflow, FakeStore


def go(settings, job, mlflow=None, store=None, run_id=None):
    folder = create(settings.run_root, job, run_id)
    opened = store or FakeStore(Path("store.json"))
    return folder, run(folder, settings, lambda url: opened, mlflow)


def test_a_job_gives_what_the_library_gives(settings, job):
    folder, outcome = go(settings, job)
    fitted = fc.fit(sales(), fc.AR(lags=2), "MS")
    wanted = fitted.predict(3, level=[80, 95])
    got = pd.read_parquet(folder.path / "forecasts.parquet")
    pd.testing.assert_frame_equal(got, wanted, check_dtype=False, rtol=1e-12)
    stored = fc.load(outcome.summary["folder"]).predict(3, level=[80, 95])
    pd.testing.assert_frame_equal(stored, wanted, check_dtype=False, rtol=1e-12)
    report = pd.read_parquet(folder.path / "report.parquet")
    assert report["status"].tolist() == fitted.report()["status"].tolist()


def test_scores_are_those_of_evaluate(settings, job):
    folder, _ = go(settings, job)
    cv = fc.cross_validation(sales(), fc.AR(lags=2), h=3, n_windows=2, freq="MS")
    wanted = fc.evaluate(cv, ["mase", "smape", "crps", "coverage"], by="unique_id")
    got = pd.read_parquet(folder.path / "report.parquet").set_index("unique_id")
    for row in wanted.itertuples():
        assert got.loc[row.unique_id, row.metric] == pytest.approx(row.AR, nan_ok=True, rel=1e-12)


def test_the_snapshot_gives_the_panel_back(settings, job):
    folder, _ = go(settings, job)
    from forecast.models.frames import to_panel

    whole, _ = to_panel(sales(), "MS")
    part = History(Path(folder.facts("snapshot")["history"])).panel(1)
    wanted = whole.take(np.array([4, 5]))
    for name in ("values", "indptr", "start", "status"):
        np.testing.assert_array_equal(getattr(part, name), getattr(wanted, name))
    assert part.ids.tolist() == ["s4", "s5"]


def test_the_same_job_again_is_the_same_version(settings, job):
    mlflow = FakeMlflow()
    _, first = go(settings, job, mlflow)
    _, second = go(settings, job, mlflow)
    assert first.summary["new_version"]
    assert not second.summary["new_version"]
    assert second.summary["version"] == first.summary["version"]
    assert len(mlflow.jobs) == 2  # each job is a run


def test_the_partition_size_does_not_change_a_forecast(settings, job):
    a, _ = go(settings, job)
    b, _ = go(settings, replace(job, partition_size=100))
    left, right = (pd.read_parquet(f.path / "forecasts.parquet") for f in (a, b))
    pd.testing.assert_frame_equal(left, right)


def test_champion_only_where_there_is_none_or_asked_for(settings, job):
    _, first = go(settings, job)
    _, second = go(settings, replace(job, models=('AR {"lags": 1}',)))
    _, third = go(settings, replace(job, models=('AR {"lags": 3}',), promote=True))
    assert [o.summary["register"]["champion"] for o in (first, second, third)] == [True, False, True]


def test_a_job_that_is_resumed_late_does_not_take_the_crown_back(settings, job):
    """The champion was another when the job began."""
    go(settings, job)
    late = create(settings.run_root, replace(job, models=('AR {"lags": 3}',), promote=True))
    late.finish("begin", {"row_version": None, "seconds": 0.0})  # before there was one
    outcome = run(late, settings, lambda url: FakeStore(Path("store.json")), None)
    assert outcome.summary["register"]["champion"] is False


def test_an_id_that_no_store_can_hold_is_told_before_any_work(settings, job):
    frame = sales()
    frame["unique_id"] = frame["unique_id"] + "\x00"
    frame.to_parquet("sales.parquet", index=False)
    with pytest.raises(StoreError, match="NUL"):
        go(settings, job, run_id="nul")
    assert reopen(settings.run_root, "nul").facts("snapshot") is None


def test_mlflow_down_the_job_is_done_and_logged_later(settings, job):
    folder, outcome = go(settings, job, FakeMlflow(down=True), run_id="r")
    assert "does not answer" in outcome.not_logged
    assert (folder.path / "forecasts.parquet").exists()
    mlflow = FakeMlflow()
    again = run(reopen(settings.run_root, "r"), settings, lambda url: FakeStore(Path("store.json")), mlflow)
    assert again.not_logged is None
    (logged,) = mlflow.jobs.values()
    assert logged.version == outcome.summary["version"]
    assert {c.name for c in logged.candidates} == {"AR", "Naive", "SeasonalNaive", "Drift"}


def test_a_second_trainer_of_the_fleet_is_told_who_has_it(settings, job):
    with pytest.raises(StoreError, match="'other'") as error:
        go(settings, job, store=FakeStore(Path("store.json"), held_by="other"))
    assert error.value.retriable


def test_one_process_a_run(settings, job):
    folder = create(settings.run_root, job)
    with folder.locked(), pytest.raises(TrainError, match="at work in another process") as error:
        run(folder, settings, lambda url: FakeStore(Path("store.json")), None)
    assert error.value.retriable


@pytest.mark.parametrize("state", ["older", "newer"])
def test_a_store_of_another_schema_stops_before_any_work(settings, job, state):
    with pytest.raises(StoreError, match="forecast db upgrade"):
        go(settings, job, store=FakeStore(Path("store.json"), state=state), run_id="r")
    assert reopen(settings.run_root, "r").facts("snapshot") is None


def test_a_misspelt_model_stops_before_any_work(settings, job):
    with pytest.raises(InputError, match="did you mean 'AutoAR'"):
        go(settings, replace(job, models=("AutoArr",)), run_id="r")
    assert not (settings.run_root / "r").exists()


def test_series_too_short_for_a_window_in_a_partition_of_their_own(settings, job):
    short = sales(1, 3).assign(unique_id="short")
    pd.concat([sales(4), short]).to_parquet("sales.parquet", index=False)
    folder, outcome = go(settings, job)
    assert outcome.summary["input"]["n_series"] == 5
    report = pd.read_parquet(folder.path / "report.parquet").set_index("unique_id")
    assert np.isnan(report.loc["short", "mase"])
    assert report.loc["s0", "mase"] > 0


def test_regressors_and_their_future(settings, job):
    frame = sales()
    frame["x"] = np.arange(len(frame)) % 7.0
    frame.to_parquet("sales.parquet", index=False)
    ahead = pd.date_range("2023-05-01", periods=3, freq="MS")
    future = pd.DataFrame(
        {"unique_id": np.repeat([f"s{i}" for i in range(6)], 3), "ds": np.tile(ahead, 6), "x": 1.0}
    )
    future.to_parquet("future.parquet", index=False)
    asked = replace(job, models=('ARX {"lags": 1}',), exog=("x",))
    _, without = go(settings, asked)
    assert without.summary["forecasts"] is None
    folder, _ = go(settings, replace(asked, future="future.parquet"))
    assert len(pd.read_parquet(folder.path / "forecasts.parquet")) == 18


def test_nothing_secret_is_kept_with_the_job(settings, job):
    secret = {"FORECAST_STORE_PASSWORD": "hunter2", "FORECAST_SOURCE_PASSWORD": "hunter2"}
    folder, _ = go(load_settings(environ=secret, jobs=1), job)
    kept = [path.read_bytes() for path in folder.path.rglob("*") if path.is_file()]
    assert kept
    assert not [data for data in kept if b"hunter2" in data]


def test_a_damaged_version_and_history_are_written_again(settings, job):
    """Both are shared by jobs: a torn file there must not fail, or feed, every later one."""
    folder, first = go(settings, job)
    model, history = Path(first.summary["folder"]), Path(folder.facts("snapshot")["history"])
    before = {path: path.read_bytes() for path in (*model.rglob("*.*"), *history.rglob("*.*"))}
    for path in (model / "manifest.json", next(model.glob("chunks/*")), history / "part-00001.parquet"):
        path.write_bytes(path.read_bytes()[:-7])
    _, again = go(settings, job)
    assert again.summary["version"] == first.summary["version"]
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    "how",
    [lambda data: data[:-9], lambda data: b"", lambda data: data.replace(b"s0", b"s9")],
    ids=["cut", "emptied", "edited"],
)
def test_a_snapshot_that_was_changed_is_not_gone_on_from(settings, job, how):
    folder = create(settings.run_root, job, "cut")
    down = FakeStore(Path("store.json"), state="current")
    down.add_version = _refuse
    with pytest.raises(StoreError):
        run(folder, settings, lambda url: down, None)
    part = Path(folder.facts("snapshot")["history"]) / "series.parquet"
    part.write_bytes(how(part.read_bytes()))
    with pytest.raises(TrainError, match=r"series\.parquet was changed"):
        run(reopen(settings.run_root, "cut"), settings, lambda url: FakeStore(Path("store.json")), None)


def _refuse(*_, **__):
    raise StoreError("the store is away", retriable=True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seconds":', "null"])
@pytest.mark.parametrize("name", ["job.json", "stages/fit.json", "fit/part-00000.json"])
def test_a_damaged_marker_is_named(settings, job, name, text):
    folder = create(settings.run_root, job, "torn")
    down = FakeStore(Path("store.json"))
    down.add_version = _refuse
    with pytest.raises(StoreError):
        run(folder, settings, lambda url: down, None)
    if name.startswith("fit"):
        (folder.path / "stages" / "fit.json").unlink()
    (folder.path / name).write_text(text)
    with pytest.raises(TrainError, match=f"{Path(name).name} is damaged"):
        run(reopen(settings.run_root, "torn"), settings, lambda url: FakeStore(Path("store.json")), None)


def test_future_regressors_that_do_not_serve_are_told_before_any_work(settings, job):
    frame = sales().assign(temp=1.0)
    frame.to_parquet("sales.parquet", index=False)
    frame.iloc[:3].drop(columns="y").to_parquet("future.parquet", index=False)
    asked = replace(job, models=("ARX",), exog=("temp",), future="future.parquet")
    with pytest.raises(InputError, match="X_df lacks"):
        go(settings, asked, run_id="short")
    assert reopen(settings.run_root, "short").facts("snapshot") is None
