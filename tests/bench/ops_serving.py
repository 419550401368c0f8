"""From drift to a new champion in the stream: real Kafka, a stream worker, a monitor, a retraining worker.

    python -m tests.bench.ops_serving [--json FILE] [--shadow N ...]

100 hourly series, an hour of all of them every 0.2 s; in the middle of the feed ten are shifted by four of
their standard deviations. The clock runs from the first drift event in the store to the first forecast of the
new version that another process has read. Without a shadow the limit is 60 s; with the default shadow it is
reported.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.consumer import ForecastStream
from pipelines.log import open_log
from pipelines.log.protocol import Log, Topic
from pipelines.replay import Pace, replay, tick_table
from pipelines.store import Store, open_store
from tests.services.kafka.cluster import kafka
from tests.services.kafka.jars import missing

SERIES, DRIFTING, TRAINED = 100, 10, 2000
# Hours of all series in a second.
HOURS_A_SECOND = 5
CALM_HOURS, SHIFT = 100, 4.0
FLEET, PARTITIONS, LIMIT_S, WAIT_S = "bench", 4, 60.0, 240.0
STARTS_WITHIN_S = 300.0
PROGRAM = str(Path(sys.executable).with_name("forecast"))


def panel(hours: int) -> pd.DataFrame:
    """AR(1) about a daily wave; from TRAINED + CALM_HOURS on the first DRIFTING series are higher."""
    rng, t = np.random.default_rng(7), np.arange(hours)
    noise = rng.normal(size=(SERIES, hours))
    y = np.zeros((SERIES, hours))
    for k in range(1, hours):
        y[:, k] = 0.5 * y[:, k - 1] + noise[:, k]
    y += 10.0 + 3.0 * np.sin(2 * np.pi * (t + np.arange(SERIES)[:, None]) / 24)
    y[:DRIFTING, TRAINED + CALM_HOURS :] += SHIFT * np.sqrt(1 / (1 - 0.25))
    ids = np.repeat([f"s{i:03d}" for i in range(SERIES)], hours)
    ds = np.tile(pd.date_range("2026-01-01", periods=hours, freq="h", unit="us"), SERIES)
    return pd.DataFrame({"unique_id": ids, "ds": ds, "y": y.ravel()})


@contextlib.contextmanager
def running(
    name: str, words: list[str], environ: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a command at work; what it says is in `folder`."""
    with (folder / f"{name}.log").open("wb") as said:
        process = subprocess.Popen(
            [PROGRAM, *words], stdout=said, stderr=subprocess.STDOUT, env=environ, cwd=folder
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def once(words: list[str], environ: dict[str, str], folder: Path) -> None:
    done = subprocess.run(
        [PROGRAM, *words], capture_output=True, text=True, env=environ, cwd=folder, check=False
    )
    if done.returncode:
        raise RuntimeError(f"forecast {' '.join(words)}: {done.stdout}{done.stderr}")


def measure(bootstrap: str, folder: Path, shadow_ticks: int | None, run: int) -> dict[str, Any]:
    """One run on topics, a store and folders of its own."""
    ticks, forecasts, control = (f"{name}-{run}" for name in ("ticks", "forecasts", "control"))
    environ = os.environ | {
        "FORECAST_STORE_URL": f"sqlite:///{folder}/store.db", "FORECAST_MODEL_ROOT": f"{folder}/models",
        "FORECAST_HISTORY_ROOT": f"{folder}/history", "FORECAST_RUN_ROOT": f"{folder}/runs",
        "FORECAST_JOBS": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    if shadow_ticks is not None:
        environ["FORECAST_SHADOW_TICKS"] = str(shadow_ticks)
    whole = panel(TRAINED + CALM_HOURS + int(WAIT_S) * HOURS_A_SECOND)
    begin = whole["ds"].min() + pd.Timedelta(hours=TRAINED)
    whole[whole["ds"] < begin].to_parquet(folder / "train.parquet", index=False)
    train = ["train", "train.parquet", "--fleet", FLEET, "--model", 'AR {"lags": "aic", "max_lags": 30}']
    once([*train, "--horizon", "24", "--freq", "h", "--windows", "1", "--no-track"], environ, folder)
    log = open_log(bootstrap)
    log.make_topics([Topic(ticks, PARTITIONS), Topic(forecasts, PARTITIONS)])
    where = ["--bootstrap", bootstrap]
    stream = ["stream", "--model", f"{FLEET}@champion", "--ticks", ticks, "--forecasts", forecasts]
    monitor = ["monitor", FLEET, "--ticks", ticks, "--forecasts", forecasts, "--alerts", f"alerts-{run}"]
    retrain = ["retrain", "--watch", "1", "--no-track", "--control", control]
    with (
        contextlib.closing(log),
        running("stream", [*stream, "--control", control, "--group", f"f{run}", *where], environ, folder),
        running("monitor", [*monitor, "--group", f"m{run}", *where], environ, folder),
        running("retrain", [*retrain, *where], environ, folder),
        open_store(f"sqlite:///{folder}/store.db") as store,
    ):
        return watch(log, ticks, forecasts, store, whole[whole["ds"] >= begin], shadow_ticks)


def watch(
    log: Log, ticks: str, forecasts: str, store: Store, live: pd.DataFrame, shadow_ticks: int | None
) -> dict[str, Any]:
    """Send the feed, and note when what happens."""
    first = store.champion(FLEET)
    assert first is not None
    live, stop = live.sort_values("ds", kind="stable"), threading.Event()
    served: float | None = None
    with ForecastStream(log, forecasts) as reader:
        replay(log, ticks, tick_table(live.iloc[:SERIES]))  # the worker has started when it answers
        _await(reader, lambda version: True, STARTS_WITHIN_S)
        pace, began = Pace(rate=float(SERIES * HOURS_A_SECOND)), time.time()
        feed = threading.Thread(
            target=replay, args=(log, ticks, tick_table(live.iloc[SERIES:]), pace, stop), daemon=True
        )
        feed.start()
        try:
            served = _await(reader, _Answers(store, first.version.version), WAIT_S)
        finally:
            stop.set()
            feed.join()
    return _times(store, began, served, shadow_ticks)


def _await(reader: ForecastStream, wanted: Callable[[str], bool], within_s: float) -> float | None:
    """Return when a forecast of a version that is wanted was read; None: it was not."""
    ends = time.time() + within_s
    while time.time() < ends:
        found = reader.poll(0.05)
        if found is not None and wanted(found.version):
            return time.time()
    return None


class _Answers:
    """Whether a version is a champion that came after the first event of the shift."""

    def __init__(self, store: Store, first: str) -> None:
        self._store, self._known = store, {first: False}

    def __call__(self, version: str) -> bool:
        if version not in self._known:
            ver, event = self._store.version(FLEET, version).ver, first_event(self._store)
            promoted = [one.ts_ms for one in self._store.promotions(FLEET) if one.ver == ver]
            self._known[version] = event is not None and max(promoted) > event
        return self._known[version]


def first_event(store: Store) -> int | None:
    """Return when the first event of a shifted series was recorded, ms."""
    shift = pd.Timestamp("2026-01-01") + pd.Timedelta(hours=TRAINED + CALM_HOURS)
    shifted = {f"s{i:03d}" for i in range(DRIFTING)}
    times = [
        one.recorded_ts_ms
        for one in store.events(FLEET)
        if one.event.series_key in shifted and one.event.ts_ms >= shift.value // 1_000_000
    ]
    return min(times, default=None)


def _times(store: Store, began: float, served: float | None, shadow_ticks: int | None) -> dict[str, Any]:
    event, jobs = first_event(store), store.jobs(FLEET)
    if event is None or served is None:
        told = [(job.payload, job.state, job.note, job.error) for job in jobs]
        raise RuntimeError(f"no new champion in {WAIT_S:.0f} s; the jobs: {told}")
    promoted = min(one.ts_ms for one in store.promotions(FLEET) if one.ts_ms > event)
    shift = began + CALM_HOURS / HOURS_A_SECOND
    return {
        "shadow_ticks": "default" if shadow_ticks is None else shadow_ticks,
        "shift_to_event_s": event / 1e3 - shift,
        "event_to_champion_s": (promoted - event) / 1e3,
        "champion_to_forecast_s": served - promoted / 1e3,
        "event_to_serving_s": served - event / 1e3,
        "series_with_events": len({one.event.series_key for one in store.events(FLEET)}),
        "events_before_the_shift": sum(one.recorded_ts_ms < shift * 1e3 for one in store.events(FLEET)),
        "jobs": [f"{job.payload.get('kind', 'drift')}: {job.state}, {job.note}" for job in jobs],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--shadow", type=int, action="append", help="Instead of 0 and the default.")
    asked = parser.parse_args()
    if reason := missing():
        print(f"not measured: {reason}")
        return 0
    shadows = asked.shadow or [0, None]
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as made, kafka(Path(made) / "kafka") as cluster:
        results = []
        for run, shadow in enumerate(shadows):
            folder = Path(made) / f"run{run}"
            folder.mkdir()
            results.append(measure(cluster.bootstrap, folder, shadow, run))
            print(json.dumps(results[-1], indent=1), flush=True)
    if asked.json:
        asked.json.write_text(
            json.dumps({"limit_s": LIMIT_S, "load": os.getloadavg()[0], "runs": results}, indent=1)
        )
    held = all(one["event_to_serving_s"] <= LIMIT_S for one in results if one["shadow_ticks"] == 0)
    print(f"event to serving without a shadow: {'ok' if held else 'MISSED'}, limit {LIMIT_S:.0f} s")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
