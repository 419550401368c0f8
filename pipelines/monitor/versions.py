"""What a monitor has to know of model versions: their series, how wide z runs, where each record is from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from forecast.errors import ForecastError
from forecast.models import version as versions
from forecast.models.computed import is_computed
from forecast.models.freq import Freq
from forecast.types import F64, I64
from pipelines.errors import StreamError
from pipelines.monitor.columns import Author
from pipelines.stream.keys import KeyTable

if TYPE_CHECKING:
    from forecast.models.records import Records
    from pipelines.store import Store, VersionRow

# Ids and two numbers a series: a base version and the overlays over it are used side by side for a while
# after each promotion, never many of them.
_KEPT: Final = 16

STRANGER: Final = -1


class UnknownVersionError(StreamError):
    """A version that the store does not know, or whose folder cannot be read: it may come yet."""


@dataclass(frozen=True, slots=True, eq=False)
class Lineage:
    """The series of one model of a version."""

    version: str
    model: str
    keys: KeyTable
    scale: F64
    """(n,) what z is divided by: `oos_scale`, 1 where it was not measured."""
    origin: I64
    """(n,) number of the version that a series' record was written by: the same record, the same number."""
    exog: tuple[str, ...]
    """Regressors that ticks bring."""
    freq: Freq
    season_length: int
    """That of most series; 1: none."""
    history: str | None = None
    """Folder of what its whole version was trained on; None: not known."""


@dataclass(slots=True)
class Catalog:
    """The versions of a fleet, each read from the store once.

    Parameters
    ----------
    store
        Asked once for each version that is new here.
    """

    store: Store
    fleet: str
    _models: dict[str, Mapping[str, Lineage]] = field(default_factory=dict)
    _origins: dict[Author, int] = field(default_factory=dict)

    def lineage(self, author: Author) -> Lineage | None:
        """Return the model of a version; None where the version has none of that alias.

        Raises
        ------
        UnknownVersionError
            The store does not know the version, or its folder is gone or damaged; `retriable`.
        StoreError
            The store does not answer, or has another schema.
        """
        return self.models(author[0]).get(author[1])

    def models(self, version: str) -> Mapping[str, Lineage]:
        """Return the models of a version by their aliases; errors as `lineage`."""
        if version not in self._models:
            self._read(version)
        found = self._models[version] = self._models.pop(version)  # those in use are kept longest
        return found

    def origin(self, author: Author) -> int:
        """Return the number of a version's model, in this process."""
        return self._origins.setdefault(author, len(self._origins))

    def author(self, origin: int) -> Author:
        """Return the version and model of a number."""
        return list(self._origins)[origin]

    def _read(self, version: str) -> None:
        """Read a version, and those before it that are not known yet."""
        rows = {row.version: row for row in self.store.versions(self.fleet)}
        line: list[VersionRow] = []
        at: str | None = version
        while at is not None and at not in self._models:
            if at not in rows or len(line) > versions.MAX_ANCESTORS:
                whose = "" if at == version else f", an ancestor of {version[:12]!r},"
                raise UnknownVersionError(
                    f"version {at[:12]!r}{whose} is not registered for fleet {self.fleet!r}: its forecasts "
                    "wait; register it, or name the fleet that it is of",
                    retriable=True,
                )
            line.append(rows[at])
            at = rows[at].parent_version
        known = self._models.get(at or "", {})
        for row in reversed(line):
            known = self._over(known, row)
        self._models[version] = known
        while len(self._models) > _KEPT:
            del self._models[next(iter(self._models))]

    def _over(self, parent: Mapping[str, Lineage], row: VersionRow) -> dict[str, Lineage]:
        """Put the series of a version over those of the one before it."""
        try:
            found = versions.load(row.artifact_uri)
        except ForecastError as error:
            raise UnknownVersionError(
                f"version {row.name} cannot be read: {error}; its forecasts wait", retriable=True
            ) from error
        if found.manifest.version != row.version:
            raise UnknownVersionError(
                f"{row.artifact_uri} holds version {found.manifest.version[:12]}, not {row.version[:12]}: "
                "repair the store; its forecasts wait",
                retriable=True,
            )
        models = {alias: _renamed(model, row.version) for alias, model in parent.items()}
        for stored in found.models:
            origin = self.origin((row.version, stored.alias))
            models[stored.alias] = _overlay(
                models.get(stored.alias), row.version, stored.alias, stored.records, origin
            )
        history = (row.training or {}).get("history")
        return {alias: replace(model, history=history or model.history) for alias, model in models.items()}


def _renamed(model: Lineage, version: str) -> Lineage:
    return replace(model, version=version)


def _overlay(older: Lineage | None, version: str, alias: str, records: Records, origin: int) -> Lineage:
    ids = [str(key).encode() for key in records.ids.tolist()]
    scale = _scale(records.oos_scale)
    exog = _brought(records)
    if older is None:
        origins = np.full(len(ids), origin, dtype=np.int64)
        season_length = int(np.bincount(np.maximum(records.season_length, 1)).argmax())
        return Lineage(version, alias, KeyTable.of(ids), scale, origins, exog, records.freq, season_length)
    text, first, last = _columns(ids)
    at = older.keys.find(text, first, last)
    new = np.flatnonzero(at < 0)
    keys = older.keys
    if len(new):
        before = [keys.id(i) for i in range(keys.count)]
        keys = KeyTable.of([*before, *(ids[i] for i in new.tolist())])
        at[new] = np.arange(len(before), keys.count)
    scales, origins = np.ones(keys.count), np.full(keys.count, origin, dtype=np.int64)
    scales[: older.keys.count], origins[: older.keys.count] = older.scale, older.origin
    scales[at], origins[at] = scale, origin
    return replace(
        older, version=version, keys=keys, scale=scales, origin=origins,
        exog=tuple(dict.fromkeys((*older.exog, *exog))),
    )  # fmt: skip


def _scale(oos_scale: F64) -> F64:
    """(n,) a divisor for every series: one that was not measured, or cannot be one, is 1."""
    good = np.isfinite(oos_scale) & (oos_scale > 0.0)
    return np.where(good, oos_scale, 1.0)


def _brought(records: Records) -> tuple[str, ...]:
    names = dict.fromkeys(term.name for term in records.exog)
    return tuple(name for name in names if not is_computed(name))


def _columns(ids: Sequence[bytes]) -> tuple[np.ndarray, I64, I64]:
    ends = np.cumsum(np.array([0, *map(len, ids)], dtype=np.int64))
    return np.frombuffer(b"".join(ids) or b"\0", dtype=np.uint8), ends[:-1], ends[1:]
