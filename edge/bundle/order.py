"""What is asked of an export, checked before any work."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, SupportsIndex, get_args

from edge.bundle.keys import SigningKey, read_key
from edge.errors import ExportError
from edge.runtime.manifest import ModelRef
from forecast.api.arguments import check_levels
from forecast.api.fitted import Fitted
from forecast.errors import nearest
from forecast.models.records import Records

Profile = Literal["latency", "balanced", "size"]
Prune = Literal["off", "parcor", "lags"]

MOST_STEPS: Final = 10_000
MOST_LEVELS: Final = 32
# Devices and file names take these; the rest of a name is for people.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True)
class Order:
    """A checked order."""

    name: str
    bundle_version: int
    horizon: int
    levels: tuple[float, ...]
    profile: Profile
    prune: Prune
    key: SigningKey | None
    model: ModelRef
    created_ts_ms: int | None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ExportError(
                f"name must be 1 to 200 letters, digits, dots, dashes or underscores, the first a letter or "
                f"digit; got {self.name!r}"
            )
        if not 1 <= self.horizon <= MOST_STEPS:
            raise ExportError(f"horizon must be a whole number in 1..{MOST_STEPS}, got {self.horizon!r}")
        if not 1 <= self.bundle_version < 2**53:
            raise ExportError(f"bundle_version must be 1 or more, got {self.bundle_version!r}")
        if len(self.levels) > MOST_LEVELS:
            raise ExportError(f"a bundle has at most {MOST_LEVELS} levels, got {len(self.levels)}")
        for what, value, known in (
            ("profile", self.profile, get_args(Profile)),
            ("prune", self.prune, get_args(Prune)),
        ):
            if value not in known:
                raise ExportError(f"{what} {value!r} is unknown{nearest(str(value), known)}")


def whole(name: str, value: object) -> int:
    """Return `value` as an int; `ExportError` for what is no whole number."""
    if not isinstance(value, SupportsIndex) or isinstance(value, bool):
        raise ExportError(f"{name} must be a whole number, got {value!r}")
    return operator.index(value)


def levels_of(level: object) -> tuple[float, ...]:
    """Return levels in percent, ascending and each once."""
    return check_levels(level)


def key_of(sign_key: str | Path | SigningKey | None, unsigned: bool) -> SigningKey | None:
    """Return the key to sign with; None where that was asked for in so many words."""
    if unsigned:
        if sign_key is not None:
            raise ExportError("unsigned=True (--unsigned) and a key exclude each other; leave one out")
        return None
    if sign_key is None:
        raise ExportError(
            "a bundle needs a key: give sign_key (--key; `forecast export-key FOLDER` makes one), or say "
            "unsigned=True (--unsigned) for a bundle that devices refuse"
        )
    return sign_key if isinstance(sign_key, SigningKey) else read_key(sign_key)


def records_of(fitted: Fitted, alias: str | None) -> tuple[str, Records]:
    """Return the alias and the records of one model of `fitted`."""
    aliases = [model.alias for model in fitted.models]
    if alias is None:
        if len(aliases) > 1:
            raise ExportError(f"there are several models, say which one with model=: {', '.join(aliases)}")
        alias = aliases[0]
    if alias not in aliases:
        raise ExportError(f"there is no model {alias!r}{nearest(alias, aliases)}")
    return alias, fitted.records[aliases.index(alias)]


def default_name(alias: str) -> str:
    """Return a name for a bundle of `alias`: the same, in lower case and letters that names may have."""
    return re.sub(r"[^a-z0-9._-]+", "-", alias.lower()).strip("-._") or "model"
