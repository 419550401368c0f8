"""Autoregressive forecasting for panels of time series.

>>> import forecast as fc
>>> fitted = fc.fit(df, model=fc.AutoAR(season_length=12), freq="MS")  # doctest: +SKIP
>>> fitted.predict(h=18, level=[80, 95])  # doctest: +SKIP

The names below are imported when first used, so that ``import forecast`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forecast.api.checks import stationarity as stationarity
    from forecast.api.evaluation import cross_validation as cross_validation
    from forecast.api.evaluation import evaluate as evaluate
    from forecast.api.fitted import Fitted as Fitted
    from forecast.api.fitting import fit as fit
    from forecast.api.storage import load as load
    from forecast.errors import ForecastError as ForecastError
    from forecast.errors import InputError as InputError
    from forecast.models.ar import AR as AR
    from forecast.models.ar import ARX as ARX
    from forecast.models.arima import ARIMA as ARIMA
    from forecast.models.baselines import Drift as Drift
    from forecast.models.baselines import Naive as Naive
    from forecast.models.baselines import SeasonalNaive as SeasonalNaive
    from forecast.selection.auto_ar import AutoAR as AutoAR
    from forecast.selection.auto_arima import AutoARIMA as AutoARIMA
    from forecast.selection.metrics import coverage as coverage
    from forecast.selection.metrics import crps as crps
    from forecast.selection.metrics import mae as mae
    from forecast.selection.metrics import mase as mase
    from forecast.selection.metrics import msis as msis
    from forecast.selection.metrics import pinball as pinball
    from forecast.selection.metrics import rmse as rmse
    from forecast.selection.metrics import rmsse as rmsse
    from forecast.selection.metrics import smape as smape
    from forecast.types import Status as Status

__version__ = "0.1.0"

_HOMES = {
    "forecast.api.checks": ["stationarity"],
    "forecast.api.evaluation": ["cross_validation", "evaluate"],
    "forecast.api.fitted": ["Fitted"],
    "forecast.api.fitting": ["fit"],
    "forecast.api.storage": ["load"],
    "forecast.errors": ["ForecastError", "InputError"],
    "forecast.models.ar": ["AR", "ARX"],
    "forecast.models.arima": ["ARIMA"],
    "forecast.models.baselines": ["Drift", "Naive", "SeasonalNaive"],
    "forecast.selection.auto_ar": ["AutoAR"],
    "forecast.selection.auto_arima": ["AutoARIMA"],
    "forecast.selection.metrics": [
        "coverage", "crps", "mae", "mase", "msis", "pinball", "rmse", "rmsse", "smape",
    ],
    "forecast.types": ["Status"],
}  # fmt: skip
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: PLE0604  # names are served by __getattr__
    *_WHERE,
    "__version__",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # any public name
    if name not in _WHERE:
        raise AttributeError(f"module 'forecast' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
