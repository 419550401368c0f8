"""What can be set of a stream's engine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from pipelines.errors import SettingsError
from pipelines.wire.forecast import MAX_HORIZON, MAX_LEVELS


class ExogPolicy(StrEnum):
    """What stands for a regressor that nobody has given."""

    PERSIST = "persist"
    """The last value before it, or the first after it where there is none."""
    REQUIRE = "require"
    """Nothing: a tick without its regressors is a dead letter, and so is a forecast without future ones."""


# A state record has to stay below a kilobyte, and a window of 64 values alone is half of one.
_LONGEST_WINDOW = 1024

# Some 300 bytes each.
_MOST_SERIES = 100_000_000

# A late tick moves its series anew over as many points.
_LONGEST_GRACE = 1024


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How ticks become forecasts.

    Raises
    ------
    SettingsError
        A value is out of its range; the message names it.
    """

    horizon: int = 24
    """Steps of every forecast."""
    levels: tuple[float, ...] = (95.0,)
    """Nominal coverages of the intervals in percent, ascending; may be empty."""
    tolerance: float = 0.5
    """How far a tick may lie from its grid point, in steps; at 0.5 none is refused."""
    gap_cap: int = 1000
    """Missing points that are imputed one by one; beyond them a state begins anew."""
    grace: int = 0
    """Steps behind the newest within which a late tick is still taken in, where nothing was observed."""
    window: int = 16
    """Last values that are kept of every series: for unknown ones, and for a change of the model."""
    warm_up: int = 8
    """Values of an unknown series before it is forecast."""
    exog: ExogPolicy = ExogPolicy.PERSIST
    exog_ahead: int | None = None
    """Steps ahead for which regressors are kept; None: the horizon."""
    lead_ms: int | None = None
    """How far the time of a tick may lie ahead of the time at which the log took it; None: any way."""
    max_series: int = 1_000_000
    """Series that the model does not have, of a partition; ticks of further ones are refused."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(float(level) for level in self.levels))
        object.__setattr__(self, "exog", ExogPolicy(self.exog))
        _check("horizon", self.horizon, 1, MAX_HORIZON)
        _check("gap_cap", self.gap_cap, 0, 1_000_000)
        _check("grace", self.grace, 0, _LONGEST_GRACE)
        _check("window", self.window, 2, _LONGEST_WINDOW)
        _check("warm_up", self.warm_up, 2, self.window)
        _check("max_series", self.max_series, 0, _MOST_SERIES)
        if self.exog_ahead is not None:
            _check("exog_ahead", self.exog_ahead, 1, MAX_HORIZON)
        if self.lead_ms is not None:
            _check("lead_ms", self.lead_ms, 0, 2**53)
        if not 0.0 < self.tolerance <= 0.5:
            raise SettingsError(f"tolerance must lie in (0, 0.5] steps, got {self.tolerance}")
        ascending = all(a < b for a, b in zip(self.levels, self.levels[1:], strict=False))
        if len(self.levels) > MAX_LEVELS or not ascending or not all(map(_is_level, self.levels)):
            raise SettingsError(
                f"levels must be at most {MAX_LEVELS} ascending percentages in (0, 100), got {self.levels}"
            )


def _is_level(level: float) -> bool:
    return math.isfinite(level) and 0.0 < level < 100.0


def _check(name: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise SettingsError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
