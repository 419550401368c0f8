"""Calling every kernel once, the way users do, so that its machine code is on disk."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

# Points a series: enough for two years of months, the longest thing any step below asks for.
_POINTS: Final = 60


def warm(progress: Callable[[str], object] = lambda name: None) -> dict[str, Any]:
    """Run every step; `progress` is called with the name of each one done.

    Returns
    -------
    dict
        ``folder``, ``files`` (functions in the cache) and ``seconds``.
    """
    from forecast.kernels._jit import cache_dir

    began = time.perf_counter()
    df = _frame()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tiny data; only the compilation matters
        for name, step in STEPS.items():
            step(df)
            progress(name)
    folder = cache_dir()
    files = sum(1 for _ in folder.rglob("*.nbi"))
    return {"folder": str(folder), "files": files, "seconds": time.perf_counter() - began}


def _frame(freq: str = "MS", tz: str | None = None) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    ids = np.repeat(["a", "b", "c"], _POINTS)
    ds = np.tile(pd.date_range("2020-01-01", periods=_POINTS, freq=freq, tz=tz), 3)
    y = 50 + rng.normal(size=3 * _POINTS).cumsum()
    y[70:72] = np.nan  # series b has a gap
    return pd.DataFrame({"unique_id": ids, "ds": ds, "y": y, "x": rng.normal(size=3 * _POINTS)})


def _fit(*models: Any) -> Callable[[pd.DataFrame], object]:  # noqa: ANN401  # names and arguments
    def step(df: pd.DataFrame) -> object:
        from pipelines.models import parse_model

        return [_use(df, parse_model(text)) for text in models]

    return step


def _use(df: pd.DataFrame, model: Any) -> object:  # noqa: ANN401  # a model
    import forecast as fc

    last = df["ds"].max()
    train, new = df[df["ds"] < last], df[df["ds"] == last]
    fitted = fc.fit(train, model=model, freq="MS", exog=["x"] if model.takes_exog else [])
    future = new.drop(columns="y") if model.takes_exog else None
    fitted.predict(1, level=[95], X_df=future)
    return fitted.update(new)


def _rest(df: pd.DataFrame) -> object:
    import forecast as fc
    from forecast import online

    whole = df[df["unique_id"] != "b"]
    fitted = fc.fit(whole, model=fc.AutoAR(), freq="MS")
    fitted.predict(3, level=[95], intervals="bootstrap", n_paths=10)
    fitted.simulate(3, n_paths=2)
    online.tick(fitted.records[0], online.init(fitted.records[0], 0), 0, 1.0)
    fitted.diagnostics()
    slots = online.load(fitted.records[0], 2)
    online.step(slots, 0, float("nan"))
    hours = _frame("h", "UTC")
    fc.fit(hours, fc.AR(lags=1, fourier={24: 1}, calendar=["hour"]), freq="h").predict(1)
    for frame, freq in ((df, "MS"), (whole, "MS"), (hours, "h")):
        fc.stationarity(frame, freq=freq)
    cv = fc.cross_validation(df, model=[fc.Naive()], h=2, freq="MS")
    return fc.evaluate(cv)


def _bank(df: pd.DataFrame) -> object:
    import forecast as fc
    from forecast import online

    fitted = fc.fit(df[df["unique_id"] == "a"], model=fc.AR(lags=2), freq="MS")
    bank = online.Bank(fitted.records[0], 2)
    slots = bank.add([0] * 100)  # so many gaps at once need more room than there is
    bank.step(slots, [1] * 100, [float("nan")] * 100)
    bank.advance(slots[:1], [[1.0]])
    bank.load(slots, *bank.dump(slots))
    arma = online.Bank(fc.fit(df, model=fc.ARIMA((0, 0, 1)), freq="MS").records[0], 2)
    return arma.step(arma.add([0]), [0], [1.0])


def _stream(df: pd.DataFrame) -> object:
    """Engine of the streaming service; nothing where its extra is not installed."""
    from importlib.util import find_spec

    if find_spec("msgspec") is None:
        return None
    import forecast as fc
    from pipelines.stream.options import StreamOptions
    from pipelines.stream.served import serve
    from pipelines.stream.warmth import warm_engine

    served = serve(fc.fit(df[df["unique_id"] != "b"], fc.AR(lags=2), freq="MS").records[0])
    for options in (StreamOptions(), StreamOptions(grace=2)):
        warm_engine(served, options)
    return None


STEPS: Final[dict[str, Callable[[pd.DataFrame], object]]] = {
    "burg": _fit('AR {"lags": "aic", "max_lags": 4}'),
    "ols": _fit('AR {"lags": "aic", "max_lags": 4, "method": "ols"}'),
    "mle": _fit('AR {"lags": 2, "method": "mle"}'),
    "yule_walker": _fit('AR {"lags": 2, "method": "yule_walker"}'),
    "regression": _fit('ARX {"lags": 2}', 'ARX {"lags": 2, "method": "lasso"}', 'AR {"lags": [1, 3]}'),
    "arima": _fit('ARIMA {"order": [1, 1, 1]}'),
    "seasonal arima": _fit('ARIMA {"order": [1, 0, 1], "seasonal_order": [0, 1, 1], "season_length": 4}'),
    "autoarima": _fit('AutoARIMA {"max_p": 1, "max_q": 1, "season_length": 4}'),
    "baselines": _fit("Naive", "Drift", 'SeasonalNaive {"season_length": 4}'),
    "bank": _bank,
    "everything else": _rest,
    "stream": _stream,
}
