"""The series of the demo, as long frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Dataset:
    """A real data set, and what to ask of it."""

    name: str
    about: str
    read: Callable[[], pd.DataFrame]
    freq: str | int
    season_length: int
    h: int
    exog: Sequence[str] = ()


def _load(name: str) -> pd.DataFrame:
    from importlib import import_module

    module: Any = import_module(f"statsmodels.datasets.{name}.data")
    frame: pd.DataFrame = module.load_pandas().data
    return frame


def _long(name: str, ds: Any, **columns: Any) -> pd.DataFrame:  # noqa: ANN401  # anything pandas takes as a column
    import pandas as pd

    return pd.DataFrame({"unique_id": name, "ds": ds, **columns})


def _stamps(index: Any) -> pd.DatetimeIndex:  # noqa: ANN401  # an index of times
    import pandas as pd

    return pd.DatetimeIndex(index).as_unit("us")


def _co2() -> pd.DataFrame:
    data = _load("co2")
    return _long("co2", _stamps(data.index), y=data["co2"].to_numpy())


def _sunspots() -> pd.DataFrame:
    data = _load("sunspots")
    return _long("sunspots", data["YEAR"].astype(int), y=data["SUNACTIVITY"].to_numpy())


def _nile() -> pd.DataFrame:
    data = _load("nile")
    return _long("nile", data["year"].astype(int), y=data["volume"].to_numpy())


def _elnino() -> pd.DataFrame:
    import pandas as pd

    data = _load("elnino")
    values = data.drop(columns="YEAR").to_numpy().ravel()
    first = f"{int(data['YEAR'].iloc[0])}-01-01"
    return _long("elnino", pd.date_range(first, periods=len(values), freq="MS"), y=values)


def _macrodata() -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    data = _load("macrodata")
    first = f"{int(data['year'].iloc[0])}-{3 * int(data['quarter'].iloc[0]) - 2:02d}-01"
    frame = _long(
        "unemployment", pd.date_range(first, periods=len(data), freq="QS"), y=data["unemp"],
        gdp_growth=100 * data["realgdp"].transform(np.log).diff(),
        consumption_growth=100 * data["realcons"].transform(np.log).diff(),
    )  # fmt: skip
    return frame.iloc[1:].reset_index(drop=True)  # a growth needs the quarter before


def _elec_equip() -> pd.DataFrame:
    data = _load("elec_equip")
    column = data.columns[-1]
    return _long("elec_equip", _stamps(data.index), y=data[column].to_numpy())


DATASETS: Final = (
    Dataset("co2", "weekly CO2 at Mauna Loa, 59 weeks missing", _co2, "W-SAT", 52, 26),
    Dataset("sunspots", "sunspots a year since 1700", _sunspots, 1, 1, 11),
    Dataset("elnino", "sea surface temperature a month since 1950", _elnino, "MS", 12, 24),
    Dataset("nile", "flow of the Nile a year", _nile, 1, 1, 10),
    Dataset(
        "macrodata", "US unemployment a quarter, with GDP and consumption growth", _macrodata, "QS", 4, 8,
        ("gdp_growth", "consumption_growth"),
    ),
    Dataset("elec_equip", "orders of electrical equipment a month", _elec_equip, "MS", 12, 18),
)  # fmt: skip
