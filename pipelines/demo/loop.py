"""The loop on a real series: the flow of the Nile, which fell in 1899, from drift to a new champion."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from pipelines.demo.datasets import DATASETS
from pipelines.demo.run import Room
from pipelines.errors import StreamError
from pipelines.tables import write_table

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.log.protocol import Log
    from pipelines.retrain.work import Ended
    from pipelines.settings import Settings
    from pipelines.store import Store
    from pipelines.stream.engine import Engine

_Found = TypeVar("_Found")

FLEET: Final = "flow"
FREQ: Final = "YS"
# 1871 to 1898: the dry years and the first dam at Aswan came after.
_TRAINED: Final = 28
# To 1938: a generation after the shift, and some seconds of the demo.
_SENT: Final = 40
_HORIZON: Final = 5
_LEVEL: Final = 95.0
# One value a year: a false alarm of a detector in a thousand years is rare enough.
_ARL0: Final = 1000.0
# The first alarm comes when there is little to learn from yet; who still drifts may say so again soon.
_COOLDOWN: Final = 2
_LOG: Final = "loop.db"
# A worker that is silent for so long will not answer at all.
_PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Alarm:
    """A drift event."""

    year: int
    detector: str
    statistic: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a refit."""

    year: int
    outcome: str
    why: str
    version: str | None
    p_value: float | None
    """Of the test that it forecasts better."""
    gain: float | None
    """Share of the error of the champion, at the origins of the test, that it saves."""


@dataclass(frozen=True, slots=True)
class Step:
    """A forecast of the stream for the next year."""

    year: int
    """That is forecast."""
    mean: float
    lo: float
    hi: float
    version: str


@dataclass(frozen=True, slots=True)
class Looped:
    """What came out of the loop."""

    trained_to: int
    alarms: tuple[Alarm, ...]
    jobs: tuple[Judged, ...]
    versions: tuple[str, ...]
    """Names of the champions, first to last."""
    swapped: tuple[int, ...]
    """First year whose tick each version after the first answered."""
    steps: tuple[Step, ...]
    error: float
    """Mean absolute error of the next year from the first swap on."""
    frozen_error: float
    """The same, had the first version gone on."""
    seconds: float
    store: str
    log: str
    picture: str | None


def run_loop(out: Path, tell: Callable[[str], object] = lambda text: None) -> Looped:
    """Train on the years before the shift, send the others one by one, and let the loop do the rest.

    A stream worker runs throughout, in a thread. After each year comes what a scheduler would call: the
    monitor over what is new, then the retraining worker. All is kept in `out`.
    """
    from pipelines.demo.loop_picture import draw_loop
    from pipelines.log import EMBEDDED, open_log
    from pipelines.store import open_store

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    began, whole, room = time.perf_counter(), dated(), Room(out)
    settings = _settings(room)
    _train(whole.iloc[:_TRAINED], settings, out)
    log = open_log(f"{EMBEDDED}{out / _LOG}")
    try:
        with open_store(settings.store()) as store, _streaming(log, settings) as engine:
            loop = _Loop(log, store, settings, engine, tell)
            for i in range(_TRAINED, len(whole)):
                loop.year(whole.iloc[i : i + 1])
            alarms = _alarms(store)
            versions = tuple(f"{FLEET}@{one.ver}" for one in store.promotions(FLEET))
    finally:
        log.close()
    frozen = _frozen(whole)
    first = loop.swapped[0] if loop.swapped else int(whole["ds"].iloc[-1].year)
    picture = draw_loop(whole, loop.steps, frozen, alarms, loop.swapped, out / "loop.png")
    return Looped(
        int(whole["ds"].iloc[_TRAINED - 1].year), alarms, tuple(loop.jobs), versions, tuple(loop.swapped),
        tuple(loop.steps), _error(loop.steps, whole, first), _error(frozen, whole, first),
        time.perf_counter() - began, room.store_url, str(out / _LOG),
        None if picture is None else str(picture),
    )  # fmt: skip


def dated() -> pd.DataFrame:
    """Return the flow of the Nile, with times in place of numbers of years, as far as it is sent."""
    import pandas as pd

    frame = next(each for each in DATASETS if each.name == "nile").read()
    first = f"{int(frame['ds'].iloc[0])}-01-01"
    times = pd.date_range(first, periods=len(frame), freq=FREQ, unit="us")
    return frame.assign(ds=times).iloc[: _TRAINED + _SENT]


def _settings(room: Room) -> Settings:
    changed = {"shadow_ticks": 0, "drift_arl0": _ARL0, "drift_cooldown_ticks": _COOLDOWN, "jobs": 1}
    return room.settings().model_copy(update=changed)


def _train(train: pd.DataFrame, settings: Settings, out: Path) -> None:
    from pipelines.store import open_store
    from pipelines.train.job import Job
    from pipelines.train.run import run
    from pipelines.train.run_folder import create

    write_table(train, out / "input.parquet")
    job = Job(
        fleet=FLEET, input=str(out / "input.parquet"), horizon=_HORIZON, freq=FREQ, season_length=1,
        levels=(_LEVEL,), windows=1,
    )  # fmt: skip
    run(create(settings.run_root, job), settings, open_store, None)


@contextmanager
def _streaming(log: Log, settings: Settings) -> Iterator[Engine]:
    """Keep a stream worker at work in a thread; it follows the champion."""
    from pipelines.log.protocol import Membership, Topic
    from pipelines.store import open_store
    from pipelines.stream.engine import Engine
    from pipelines.stream.models import ChampionLoader, load_first
    from pipelines.stream.options import StreamOptions
    from pipelines.stream.service import ServiceOptions, run_service
    from pipelines.stream.stopping import Stop
    from pipelines.stream.topics import Topics
    from pipelines.stream.warmth import warm_engine
    from pipelines.stream.worker_options import WorkerOptions

    def opened() -> Store:
        return open_store(settings.store())

    topics, options = Topics(), StreamOptions(horizon=_HORIZON, levels=(_LEVEL,))
    served = load_first(f"{FLEET}@champion", opened)
    warm_engine(served, options)
    engine, stop = Engine(served, options, topics), Stop()
    log.make_topics([Topic(topics.ticks, 1), Topic(topics.forecasts, 1)])
    service = ServiceOptions(
        Membership("stream", "demo"), topics,
        worker=WorkerOptions(commit_interval_s=_POLL_S, idle_wait_s=_POLL_S),
    )  # fmt: skip
    thread = threading.Thread(
        target=run_service, args=(log, engine, served, service, stop, ChampionLoader(opened)), daemon=True
    )
    thread.start()
    try:
        yield engine
    finally:
        stop.ask()
        thread.join(_PATIENCE_S)
        stop.ended()


class _Loop:
    """What happens in a year."""

    def __init__(
        self, log: Log, store: Store, settings: Settings, engine: Engine, tell: Callable[[str], object]
    ) -> None:
        from pipelines.consumer import ForecastStream

        self._log, self._store, self._settings, self._engine = log, store, settings, engine
        self._tell = tell
        self._forecasts = ForecastStream(log)
        self.steps: list[Step] = []
        self.jobs: list[Judged] = []
        self.swapped: list[int] = []

    def year(self, row: pd.DataFrame) -> None:
        """Send the tick of a year, wait for its forecast, let monitor and worker look at it."""
        from pipelines.replay import replay, tick_table

        year = int(row["ds"].iloc[0].year)
        self._tell(f"nile: {year}")
        replay(self._log, "ticks", tick_table(row))
        forecast = _await(lambda: self._forecasts.poll(_POLL_S), f"the forecast after {year}")
        version = forecast.version
        if self.steps and version != self.steps[-1].version:
            self.swapped.append(year)
        self.steps.append(Step(year + 1, forecast.mean[0], forecast.lo[0][0], forecast.hi[0][0], version))
        self._monitor()
        self._retrain(year)

    def _monitor(self) -> None:
        from pipelines.log.protocol import Delivery, Membership
        from pipelines.monitor import MonitorOptions, run_monitor
        from pipelines.store import open_store
        from pipelines.stream.stopping import Stop

        options = MonitorOptions(
            FLEET, Membership("monitor", "demo", Delivery.AT_LEAST_ONCE), arl0=self._settings.drift_arl0,
            cooldown_ticks=self._settings.drift_cooldown_ticks, hold_s=0.0,
            archive=self._settings.history_root, idle_wait_s=_POLL_S, stop_at_end=True,
        )  # fmt: skip
        run_monitor(self._log, lambda: open_store(self._settings.store()), options, Stop())

    def _retrain(self, year: int) -> None:
        """Do what `forecast retrain --due` does; wait for the stream to serve a new champion."""
        from pipelines.retrain.announce import announce
        from pipelines.retrain.due import run_due
        from pipelines.retrain.work import DRIFT, PROMOTE
        from pipelines.store import open_store

        done = run_due(
            self._settings, open_store, owner="demo", announce=lambda store: announce(store, self._log)
        )
        self.jobs += [self._judged(year, one) for one in done.ended if one.kind in (DRIFT, PROMOTE)]
        champion = self._store.champion(FLEET)
        if champion is not None and any(one.outcome == "promoted" for one in done.ended):
            wanted = champion.version.version
            _await(lambda: self._engine.served.version == wanted or None, "the new champion in the stream")

    def _judged(self, year: int, ended: Ended) -> Judged:
        evidence = next(
            (
                one.evidence
                for one in self._store.judgements(FLEET)
                if one.job_id == ended.job_id and one.stage == "gate"
            ),
            {},
        )
        loss = evidence.get("loss", {})
        saved = 1.0 - loss["challenger"] / loss["champion"] if loss.get("champion") else None
        return Judged(year, ended.outcome, ended.why, ended.version, evidence.get("p_value"), saved)


def _await(look: Callable[[], _Found | None], what: str) -> _Found:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        found = look()
        if found is not None:
            return found
        time.sleep(_POLL_S)
    raise StreamError(f"waited {_PATIENCE_S:.0f} s for {what}")


def _alarms(store: Store) -> tuple[Alarm, ...]:
    import pandas as pd

    return tuple(
        Alarm(
            pd.Timestamp(one.event.ts_ms, unit="ms").year, one.event.detector, one.event.statistic,
            one.event.threshold,
        )
        for one in store.events(FLEET)
    )  # fmt: skip


def _frozen(whole: pd.DataFrame) -> list[Step]:
    """Return what the first version would have gone on to say."""
    import forecast as fc

    fitted, steps = fc.fit(whole.iloc[:_TRAINED], fc.AutoAR(season_length=1), freq=FREQ), []
    for i in range(_TRAINED, len(whole)):
        fitted = fitted.update(whole.iloc[i : i + 1])
        ahead = fitted.predict(1, level=_LEVEL).iloc[0]
        low, high = (float(ahead[f"AutoAR-{end}-{_LEVEL:g}"]) for end in ("lo", "hi"))
        steps.append(Step(int(ahead["ds"].year), float(ahead["AutoAR"]), low, high, ""))
    return steps


def _error(steps: Sequence[Step], whole: pd.DataFrame, first: int) -> float:
    """Mean absolute error of the forecasts made from a year on."""
    actual = dict(zip(whole["ds"].dt.year, whole["y"], strict=True))
    errors = [
        abs(step.mean - actual[step.year]) for step in steps if first < step.year and step.year in actual
    ]
    return sum(errors) / len(errors) if errors else float("nan")
