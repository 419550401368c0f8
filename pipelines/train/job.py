"""What one training job is asked to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

from forecast.errors import InputError

# Series of a partition: as many as a chunk of a model version holds. What a kill loses at most, and
# what has to fit into memory beside the next.
PARTITION_SIZE: Final = 4096

BASELINES: Final = ("Naive", "SeasonalNaive", "Drift")

# Least and most of each number. Farther ahead or more origins than these was a slip of the finger.
LIMITS: Final = {
    "horizon": (1, 100_000),
    "windows": (0, 1_000),
    "season_length": (1, 1_000_000),
    "partition_size": (1, 1_000_000),
}

# Columns of the reports of a job, which a model's column would overwrite.
RESERVED: Final = ("unique_id", "cutoff", "metric", "model", "path", "status")

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
        if not self.input.strip():
            raise InputError("the input has no name: give a file, a folder or a query")
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InputError(f"{name} must lie between {least} and {most}, got {value}")
        if self.future is not None and not self.exog:
            raise InputError(f"future is {self.future!r}, but exog names no regressor that it would hold")
        check_distinct_levels(self.levels)
        check_models_and_columns(self.models, (self.id_col, self.time_col, self.target_col), self.exog)

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


def check_distinct_levels(levels: Sequence[float]) -> None:
    """Raise InputError for a level outside 0 to 100 percent, or one that is given twice."""
    from forecast.api.arguments import check_levels

    if len(check_levels(levels)) < len(levels):
        raise InputError(f"a level is given twice: {', '.join(f'{level:g}' for level in levels)}")


def check_models_and_columns(models: Sequence[str], columns: Sequence[str], exog: Sequence[str]) -> None:
    """Raise InputError where models cannot be told apart, or from columns, or columns from one another."""
    from forecast.api.arguments import check_models, check_names, check_takes_exog
    from pipelines.models import parse_model

    if not models:
        raise InputError("needs at least one model")
    named = (*columns, *exog)
    for name in named:
        if not name:
            raise InputError("a column has no name")
        if named.count(name) > 1:
            raise InputError(f"column {name!r} is named twice; id, time, target and regressors must differ")
    parsed = check_models([parse_model(text) for text in models])
    for model in parsed:
        if model.alias in RESERVED:
            raise InputError(
                f"a model is called {model.alias!r}, like a column of results; give it an alias="
            )
    check_names(parsed, named)
    check_takes_exog(parsed, exog)


def fleet_of(path: str) -> str:
    """Return the name of a fleet from that of its file: ``data/sales.parquet`` gives ``sales``.

    Raises
    ------
    InputError
        The file's name is none of a fleet: two files must not get one fleet because of what is left out.
    """
    stem = re.sub(r"(?i)\.(parquet|pq|csv|csv\.gz)$", "", path.rstrip("/").rsplit("/", 1)[-1])
    if not _FLEET.fullmatch(stem):
        raise InputError(f"the fleet cannot be named after {stem!r}; name it with --fleet")
    return stem
