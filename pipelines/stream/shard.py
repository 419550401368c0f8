"""The series of one partition: their ids, and what is kept of each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from forecast.types import I64, U8
from pipelines.kernels import admission, key_table
from pipelines.kernels.admission import Series
from pipelines.kernels.regressors import Kept
from pipelines.stream.keys import KeyTable
from pipelines.stream.messages import Quoted


def make_series(rows: int, width: int) -> Series:
    """Return room for `rows` series with a window of `width` values, nothing in it."""
    table = np.zeros((rows, admission.COLUMNS), dtype=np.int64)
    table[:, [admission.SLOT, admission.BASE_SLOT]] = admission.UNKNOWN
    table[:, admission.SOURCE] = -1
    return Series(table, np.full((rows, width), np.nan))


def make_kept(rows: int, points: int, names: int) -> Kept:
    """Return room for regressors of `rows` series at as many points, none known."""
    return Kept(
        np.full((rows, points, names), np.nan),
        np.zeros(rows, dtype=np.int64),
        np.zeros((rows, names), dtype=np.bool_),
    )


@dataclass(slots=True)
class Shard:
    """One partition."""

    series: Series
    kept: Kept
    keys: KeyTable = field(default_factory=KeyTable.empty)
    quoted: Quoted = field(
        default_factory=lambda: Quoted(np.zeros(0, dtype=np.uint8), np.zeros(1, dtype=np.int64))
    )
    quoted_count: int = 0
    strangers: int = 0
    """Ids that the model does not have."""
    batch: int = 0
    """Number of the last batch, from 1."""
    round: int = 0
    """Number of the last round of any batch."""

    @property
    def count(self) -> int:
        """Ids seen; some may have no state."""
        return self.keys.count

    @property
    def ids(self) -> Quoted:
        """The ids as they are."""
        return Quoted(self.keys.keys.text, self.keys.keys.ends)

    def live(self) -> I64:
        """Return the series that have taken in a tick."""
        return np.flatnonzero(self.series.source[: self.count] >= 0)

    def number(self, data: U8, firsts: I64, lasts: I64) -> tuple[I64, I64]:
        """(n,) numbers of ids in a buffer, -1 where one begins before 0; and the numbers that are new."""
        before = self.count
        numbers = self.keys.add(data, firsts, lasts)
        new = np.arange(before, self.count)
        if len(new):
            self._make_room()
        return numbers, new

    def quote(self) -> Quoted:
        """Return the ids as JSON."""
        if self.quoted_count < self.count:
            text, ends = self.ids
            more = int(ends[self.count] - ends[self.quoted_count])
            room = int(self.quoted.ends[self.quoted_count])
            room += key_table.LONGEST_ESCAPE * more + 2 * (self.count - self.quoted_count)
            quoted = self.quoted
            if room > len(quoted.text):
                wide = np.zeros(2 * room, dtype=np.uint8)
                wide[: len(quoted.text)] = quoted.text
                quoted = quoted._replace(text=wide)
            if self.count >= len(quoted.ends):
                longer = np.zeros(1 + 2 * self.count, dtype=np.int64)
                longer[: len(quoted.ends)] = quoted.ends
                quoted = quoted._replace(ends=longer)
            key_table.quote_keys(text, ends, self.quoted_count, self.count, *quoted)
            self.quoted = quoted
            self.quoted_count = self.count
        return self.quoted

    def _make_room(self) -> None:
        rows = len(self.series.table)
        if self.count <= rows:
            return
        more = max(rows, self.count - rows)
        blank = make_series(more, self.series.window.shape[1])
        table = np.concatenate([self.series.table, blank.table])
        self.series = Series(table, np.concatenate([self.series.window, blank.window]))
        kept, (_, points, names) = self.kept, self.kept.values.shape
        empty = make_kept(more, points, names)
        self.kept = Kept(
            np.concatenate([kept.values, empty.values]),
            np.concatenate([kept.at, empty.at]),
            np.concatenate([kept.needed, empty.needed]),
        )
