"""A real series with gaps as a stream: file, embedded log, service, consumer."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.demo.datasets import DATASETS

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.log.protocol import Log

# Four years of weeks; most of the missing weeks come after them.
_TRAINED: Final = 208
_HORIZON: Final = 26
_WEEKS_OF_A_YEAR: Final = 365.2425 / 7
_LEVEL: Final = 95.0
_LOG: Final = "stream.db"


@dataclass(frozen=True, slots=True)
class Streamed:
    """What came out of the stream."""

    data: str
    ticks: int
    forecasts: int
    imputed: int
    """Weeks without a tick that the model filled."""
    error: float
    """Mean absolute error one step ahead, in the units of the series."""
    naive_error: float
    """The same of the last value."""
    coverage: float
    """Share of values inside the 95 % interval of the step before."""
    seconds: float
    """From the first tick to the last forecast."""
    log: str
    """File of the embedded log: `forecast tail --log` reads it."""


def run_stream(out: Path) -> Streamed:
    """Fit on the first years of the CO2 series, then send the rest tick by tick; all is kept in `out`.

    Weeks without a value are not sent at all, as by a station that is silent.
    """
    from pipelines.consumer import ForecastStream
    from pipelines.log import EMBEDDED, open_log

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    dataset = DATASETS[0]
    whole = dataset.read()
    log = open_log(f"{EMBEDDED}{out / _LOG}")
    try:
        counts, seconds = _serve(log, whole, out / "model")
        frame = ForecastStream(log, follow=False).to_pandas(freq=dataset.freq)
    finally:
        log.close()
    error, naive, coverage = _judged(frame, whole)
    return Streamed(
        dataset.name, counts["ticks"], counts["forecasts"], counts["imputed"], error, naive, coverage,
        seconds, str(out / _LOG),
    )  # fmt: skip


def _serve(log: Log, whole: pd.DataFrame, folder: Path) -> tuple[dict[str, int], float]:
    """Fit, send the ticks, and let one worker forecast them; return its counts and seconds."""
    import forecast as fc
    from pipelines.log.protocol import Membership, Topic
    from pipelines.replay import replay, tick_table
    from pipelines.stream.engine import Engine
    from pipelines.stream.loading import load_folder
    from pipelines.stream.options import StreamOptions
    from pipelines.stream.service import ServiceOptions, run_service
    from pipelines.stream.stopping import Stop
    from pipelines.stream.topics import Topics
    from pipelines.stream.warmth import warm_engine

    dataset, topics = DATASETS[0], Topics()
    model = fc.ARIMA((2, 1, 1), fourier={_WEEKS_OF_A_YEAR: 2})
    fc.fit(whole.iloc[:_TRAINED], model, freq=dataset.freq).save(folder)
    served = load_folder(folder)
    options = StreamOptions(horizon=_HORIZON, levels=(_LEVEL,))
    warm_engine(served, options)
    engine = Engine(served, options, topics)
    log.make_topics([Topic(topics.ticks, 1)])
    began = time.perf_counter()
    replay(log, topics.ticks, tick_table(whole.iloc[_TRAINED:].dropna(subset=["y"])))
    service = ServiceOptions(Membership("demo", "demo"), topics, stop_at_end=True)
    totals = run_service(log, engine, served, service, Stop())
    return dict(totals.counts), time.perf_counter() - began


def _judged(frame: pd.DataFrame, whole: pd.DataFrame) -> tuple[float, float, float]:
    """Mean absolute error of the next step, that of the last value, and coverage."""
    model = frame.columns[3]
    ahead = frame.groupby("cutoff", as_index=False).first()
    ahead = ahead.merge(whole[["ds", "y"]], on="ds").dropna(subset=["y"])
    last = whole.set_index("ds")["y"].reindex(ahead["cutoff"]).to_numpy()
    low, high = ahead[f"{model}-lo-{_LEVEL:g}"], ahead[f"{model}-hi-{_LEVEL:g}"]
    return (
        float((ahead[model] - ahead["y"]).abs().mean()),
        float((ahead["y"] - last).abs().mean()),
        float(ahead["y"].between(low, high).mean()),
    )
