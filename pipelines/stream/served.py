"""The model version in use: its records, who they are of, and the grid they are on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from forecast.errors import ForecastError
from forecast.models.alias import Kind
from forecast.models.certificate import MAX_RADIUS, MIN_MARGIN, certify
from forecast.models.computed import is_computed
from forecast.models.freq import Freq
from forecast.models.records import Records
from forecast.models.soundness import flaw, state_sizes
from forecast.types import I64, U8, Bool
from pipelines.errors import StreamError
from pipelines.stream.keys import KeyTable

NS_PER_MS = 1_000_000
# A year has 365.2425 days in the mean.
_MS_PER_MONTH = 2_629_746_000
# Business days of a week over its days; other calendars of pandas are named by what they step over.
_MS_PER_OFFSET = 86_400_000 * 7 // 5
_TAG_BYTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A model, ready to serve; see `serve`."""

    name: str
    """Of its fleet."""
    alias: str
    """Of the model within its version: `model` of the messages."""
    version: str
    """sha256 of its manifest: `version` of the messages."""
    row_version: int
    """Of the champion's row in the store; 0 where the version was named."""
    records: Records
    rows: KeyTable
    """Position in `records` of every id."""
    usable: Bool
    """(n,) False where too little was known of a series for a forecast: it counts as unknown."""
    dt_ms: int
    """Nominal step of the grid, ms (of an int grid its own unit)."""
    tag: int
    """First bytes of a digest of version and alias, as an int: what state belongs to."""

    @property
    def freq(self) -> Freq:
        """The grid."""
        return self.records.freq

    @property
    def exog_names(self) -> tuple[str, ...]:
        """Regressors that do not follow from the time: ticks must bring them."""
        names = dict.fromkeys(term.name for term in self.records.exog)
        return tuple(name for name in names if not is_computed(name))

    def find(self, data: U8, firsts: I64, lasts: I64) -> I64:
        """(n,) positions in `records` of ids in a buffer; -1 for one that is not there, or not usable."""
        rows = self.rows.find(data, firsts, lasts)
        return np.where((rows >= 0) & self.usable[rows], rows, -1)


def serve(
    records: Records, *, name: str = "model", alias: str = "model", version: str = "0", row_version: int = 0
) -> Served:
    """Return `records` ready to serve.

    Raises
    ------
    StreamError
        A record is not sound, or not certified: the message names the series, what was found and what is
        needed; or the grid is finer than a millisecond.
    """
    _check(records, f"model {alias!r} of {name!r}, version {version[:12]}")
    ids = [str(key).encode() for key in records.ids.tolist()]
    tag = hashlib.blake2b(f"{version} {alias}".encode(), digest_size=_TAG_BYTES).digest()
    return Served(
        name=name,
        alias=alias,
        version=version,
        row_version=row_version,
        records=records,
        rows=KeyTable.of(ids),
        usable=_usable(records),
        dt_ms=nominal_step(records.freq),
        tag=int.from_bytes(tag, "little", signed=True),
    )


def nominal_step(freq: Freq) -> int:
    """Return the nominal step of a grid, ms; `StreamError` for one finer than that."""
    grid = freq.grid
    if grid.kind is Kind.INT:
        return grid.step
    if grid.kind is Kind.MONTHS:
        return grid.step * _MS_PER_MONTH
    if grid.kind is Kind.OFFSET:
        return grid.step * _MS_PER_OFFSET
    if grid.step < NS_PER_MS:
        raise StreamError(f"the grid {freq.text!r} is finer than a millisecond, the unit of messages")
    return grid.step // NS_PER_MS


def _check(records: Records, what: str) -> None:
    if not records.n_series:
        raise StreamError(f"{what} holds no series")
    found = flaw(records)
    if found is not None:
        raise StreamError(f"{what} is not sound: {found}; train it again")
    try:
        found_certificate = certify(
            records.phi, records.p, records.seasonal_phi, records.P, records.season_length
        )
    except ForecastError as error:
        raise StreamError(f"{what} cannot be certified: {error}; train it again") from error
    failed = np.flatnonzero(~found_certificate.passed)
    if len(failed):
        i = int(failed[0])
        margin, pole = float(found_certificate.margin[i]), float(found_certificate.max_pole[i])
        raise StreamError(
            f"{what} fails its certificate: series {records.ids[i]!r} has a margin of {margin:.6g} (needs "
            f"more than {MIN_MARGIN:g}) and a largest pole of {pole:.6g} (needs less than {MAX_RADIUS:g}); "
            f"{len(failed)} of {records.n_series} series fail; train it again"
        )


def _usable(records: Records) -> Bool:
    """(n,) whether level and variance of a series are known."""
    sizes, _ = state_sizes(records)
    needed = np.arange(records.levels.shape[1]) < sizes[:, None]
    known = np.isfinite(np.where(needed, records.levels, 0.0))
    return np.asarray(known.all(axis=1) & np.isfinite(records.sigma2))
