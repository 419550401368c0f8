"""What a new version would have said since the drift: new rows, and only those."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.models.records import Form
from pipelines.errors import StoreError
from pipelines.history.tick_files import TickFile
from pipelines.history.tick_rows import make_table
from pipelines.retrain.backfill import backfill
from pipelines.retrain.promote import promote
from pipelines.retrain.replay import lay_out, replay
from pipelines.retrain.rewind import rewound
from pipelines.store import NewEvent
from tests.pipelines.retrain.fleet import HOUR_MS, IDS, POINTS, START_MS, fit, frame, ticks, values

DRIFT = POINTS + 20


def archive(shop, columns, first=POINTS):
    import pyarrow.parquet as pq

    folder = shop.settings.history_root / "shop" / "ticks"
    folder.mkdir(parents=True, exist_ok=True)
    found = ticks(columns, first)
    y = found["y"].to_numpy()
    table = make_table(
        found["unique_id"].tolist(), found["ts_ms"].to_numpy(), y, first + np.arange(len(y)), {}
    )
    pq.write_table(table, folder / TickFile.written(0, first, first + len(y) - 1).name)


@pytest.fixture
def drifted(shop):
    """A champion, 60 hours of ticks of which the last 40 lie higher, and the overlay fitted to those."""
    first = shop.whole()
    promote(shop.store, "shop", first, reason="first")
    shop.store.write_series("shop", IDS, "h")
    live = {name: np.r_[values(i, 20), values(50 + i, 40, 20.0)] for i, name in enumerate(("b", "c"))}
    archive(shop, live)
    overlay = fit({name: y[20:] for name, y in live.items()}, DRIFT)
    second = shop.add(overlay, first)
    promote(shop.store, "shop", second, reason="drift")
    return first, second, live, overlay.records[0]


def test_each_origin_since_the_drift_has_the_path_of_the_new_parameters(shop, drifted):
    _, second, live, records = drifted
    assert (records.form == Form.CONDITIONAL).all()
    since = START_MS + DRIFT * HOUR_MS
    rows = backfill(shop.settings, shop.store, second, since_ms=since)
    got = shop.store.forecasts(second)
    # The record begins with the drift, so the first point of it has no point before it.
    assert rows == len(got) == 2 * 39 * 24 * 2
    for i, name in enumerate(("b", "c")):
        some = got[(got["unique_id"] == name) & (got["level"] == 95)].sort_values(["cutoff", "h"])
        paths = some["mean"].to_numpy().reshape(39, 24)
        for k in (0, 17, 38):
            y, want = live[name][21 + k], []
            for _ in range(24):
                y = records.const[i] + records.phi[i, 0] * y
                want.append(y)
            np.testing.assert_allclose(paths[k], want, rtol=1e-9)
        assert some["cutoff"].iloc[0] == pd.Timestamp(START_MS + (DRIFT + 1) * HOUR_MS, unit="ms")
        assert ((some["ds"] - some["cutoff"]) / pd.Timedelta("1h") == some["h"]).all()
        assert (some["lo"] < some["mean"]).all()


def test_rows_of_the_old_version_stay_and_a_second_time_changes_nothing(shop, drifted):
    first, second, _, _ = drifted
    old = fc.load(first.artifact_uri).predict(3, level=[80, 95])
    shop.store.write_forecasts(first, old)
    before = shop.store.forecasts(first)
    since = START_MS + (DRIFT + 30) * HOUR_MS
    rows = backfill(shop.settings, shop.store, second, since_ms=since)
    kept = shop.store.forecasts(second)
    assert backfill(shop.settings, shop.store, second, since_ms=since) == rows
    pd.testing.assert_frame_equal(shop.store.forecasts(second), kept)
    pd.testing.assert_frame_equal(shop.store.forecasts(first), before)


def test_it_begins_with_the_first_event_of_the_job_that_made_the_version(shop, drifted):
    from forecast.models import version
    from pipelines.store import NewVersion

    _, second, _, _ = drifted
    with pytest.raises(StoreError, match="say from when on"):
        backfill(shop.settings, shop.store, second)
    at = START_MS + (DRIFT + 35) * HOUR_MS
    events = [
        NewEvent("shop", "0" * 64, name, "AR", "mean", ts, 9.0, 5.0, f"k{name}{ts}")
        for name, ts in (("b", at), ("c", at + HOUR_MS))
    ]
    shop.store.record_events(events)
    manifest = version.load(second.artifact_uri).manifest
    shop.store.finish_job(shop.store.claim_job("me", 60), version=NewVersion(manifest, second.artifact_uri))
    assert backfill(shop.settings, shop.store, second) == 2 * 5 * 24 * 2
    assert shop.store.forecasts(second)["cutoff"].min() == pd.Timestamp(at, unit="ms")


def test_one_command_writes_them(shop, drifted):
    from click.testing import CliRunner

    from pipelines.cli import main

    def call(*words):
        line = ["models", "backfill", "shop@2", *words, "--store", shop.settings.store_url]
        (shop.folder / "f.toml").write_text(f'history_root = "{shop.settings.history_root}"\n')
        return CliRunner().invoke(main, [*line, "--config", str(shop.folder / "f.toml")])

    at = pd.Timestamp(START_MS + (DRIFT + 37) * HOUR_MS, unit="ms").isoformat()
    assert call("--since", at).stdout == f"{2 * 3 * 24 * 2} rows of forecasts of shop@2\n"
    assert call("--since", at + "+00:00").stdout.startswith("288 rows")
    assert "is no time" in call("--since", "noon").stderr
    assert "say from when on" in call().stderr


def test_what_the_store_does_not_take_is_thinned_out(shop, drifted):
    _, second, _, _ = drifted
    shop.settings = shop.settings.model_copy(update={"sql_rows": 1_000})
    rows = backfill(shop.settings, shop.store, second, since_ms=START_MS + DRIFT * HOUR_MS)
    assert 500 < rows <= 1_000
    cutoffs = shop.store.forecasts(second)["cutoff"].drop_duplicates().sort_values()
    assert len(set(cutoffs.diff().dropna())) == 1


def test_without_ticks_nothing_is_written(shop):
    first = shop.whole()
    assert backfill(shop.settings, shop.store, first, since_ms=START_MS) == 0


@pytest.mark.slow
def test_a_record_is_wound_back_to_where_it_stood():
    whole = {name: values(i, POINTS) for i, name in enumerate(IDS)}
    whole["b"][POINTS - 43 : POINTS - 41] = np.nan
    model = fc.fit(frame(whole), fc.ARIMA(order=(1, 1, 1)), "h", n_jobs=1)
    laid = lay_out(model.records[0], ticks(whole, 0))
    back = rewound(model.records[0], laid, np.full(4, POINTS - 41))
    assert back.nobs.tolist() == [POINTS - 40] * 4
    moved = replay(back, laid, 3, (95.0,))
    at = laid.points == POINTS - 1
    want = model.predict(3, level=95)
    np.testing.assert_allclose(moved.mean[at].ravel(), want["ARIMA"], rtol=1e-6)
    np.testing.assert_allclose(moved.lo[0, at].ravel(), want["ARIMA-lo-95"], rtol=1e-2)


def test_regressors_with_lags_are_wound_back_too():
    rng = np.random.default_rng(5)
    y, x = rng.normal(size=120), rng.normal(size=120)
    y[2:] += 2 * x[:-2]
    long = frame({"a": y}).assign(x=x)
    model = fc.fit(long, fc.ARX(lags=1, exog_lags={"x": [2]}), "h", exog=["x"], n_jobs=1)
    known = ticks({"a": y}, 0).assign(x=x)
    laid = lay_out(model.records[0], known)
    back = rewound(model.records[0], laid, np.array([99]))
    np.testing.assert_allclose(back.exog_tail[0, 0], x[99:97:-1])
    moved = replay(back, laid, 2, (95.0,))
    want = model.predict(2, X_df=frame({"a": np.zeros(2)}, 120).drop(columns="y").assign(x=0.0))["ARX"]
    np.testing.assert_allclose(moved.mean[-1], want, rtol=1e-8)
