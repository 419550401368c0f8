"""What one training job is asked to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

from forecast.errors import InputError

# Series of a partition: as many as a chunk of a model version holds. What a kill loses at most, and
# what has to fit into memory beside the next.
PARTITION_SIZE: Final = 4096

BASELINES: Final = ("Naive", "SeasonalNaive", "Drift")

_FLEET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Job:
    """A training job: together with the input it determines every result.

    `input` is a path, or the text of a query when `sql` is true. What belongs to the surroundings (store,
    tracking, folders, threads) is in the settings and may differ when the job is resumed.
    """

    fleet: str
    input: str
    sql: bool = False
    models: tuple[str, ...] = ("AutoAR",)
    """As `parse_model` reads them; forecasts and scores of the store are those of the first."""
    horizon: int = 12
    freq: str | int | None = None
    season_length: int | None = None
    levels: tuple[float, ...] = (80.0, 95.0)
    exog: tuple[str, ...] = ()
    future: str | None = None
    """File with the regressors over the horizon."""
    windows: int = 1
    """Origins of the backtest; 0 leaves it out."""
    partition_size: int = PARTITION_SIZE
    id_col: str = "unique_id"
    time_col: str = "ds"
    target_col: str = "y"
    duplicates: Literal["raise", "last", "mean"] = "raise"
    strict: bool = False
    """A file of the input that cannot be read fails the job."""
    stationarity: bool = True
    """Test every series for unit roots and seasons."""
    promote: bool = False
    """Make the version champion even where there is one."""

    def __post_init__(self) -> None:
        if not _FLEET.fullmatch(self.fleet):
            raise InputError(f"fleet {self.fleet!r} must be letters, digits, '.', '_' or '-', at most 100")
        for name, least in (("horizon", 1), ("windows", 0), ("partition_size", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if not self.models:
            raise InputError("needs at least one model")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Job:
        """Return the job that `to_json` wrote."""
        values = {f.name: plain[f.name] for f in fields(cls)}
        for name in ("models", "levels", "exog"):
            values[name] = tuple(values[name])
        return cls(**values)


def fleet_of(path: str) -> str:
    """Return the name of a fleet from that of its file: ``data/sales.parquet`` gives ``sales``."""
    stem = re.sub(r"(\.parquet|\.pq|\.csv|\.csv\.gz)$", "", path.rstrip("/").rsplit("/", 1)[-1].lower())
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._") or "fleet"
