"""Scores of live forecasts: windows of event time, by series and for the fleet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forecast.models.freq import Freq
from forecast.types import F64, I64
from pipelines.errors import PipelineError, StreamError
from pipelines.logs import log
from pipelines.monitor.coverage_band import outside
from pipelines.monitor.matured import Scored
from pipelines.monitor.packing import pack, unpack
from pipelines.monitor.score_sums import Sums

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.store import Store

Author = tuple[str, str]
"""Version, and model within it."""
Ids = Callable[[int, I64], Sequence[str]]
"""Ids of rows of a partition."""

# Windows that are gathered at a time: the current one, the next, and some of clocks gone wrong. Those of a
# backlog are more: as many as have so many numbers, 8 bytes each.
_WINDOWS: Final = 4
_NUMBERS: Final = 4_000_000
# What is kept of sums for the band of coverage when a window ends: about five windows count.
_KEEP: Final = 0.8
# Windows whose late paths are known to be late.
_DONE: Final = 512
# Times that a window may begin at: the years that `cutoff` can show.
_LATEST_MS: Final = 9_214_000_000_000
_DAY_MS: Final = 86_400_000


def default_window(dt: int, h: int, is_int: bool = False) -> int:
    """Return the length of a window, on the wire's clock: a day, and at least one path."""
    return max(dt * h, 1 if is_int else _DAY_MS)


@dataclass(frozen=True, slots=True, eq=False)
class WindowScores:
    """What `Store.write_live_scores` takes, of one version."""

    version: str
    model: str
    frame: pd.DataFrame
    """``unique_id, metric, <model>``: of series, no `cutoff`, so that a window replaces the one before."""
    fleet: pd.DataFrame
    """``model, metric, cutoff, value, n``"""


class Scores:
    """Gathers the paths that have matured, of all partitions of a monitor.

    A path belongs to the window in which it ends. A window is done once paths of later windows are half as
    many as its own: a clock gone wrong ends none. Paths that come after that are counted in `late`.

    Parameters
    ----------
    levels
        (L,) per cent, as of `Maturing`.
    window
        Length of a window on the wire's clock, see `default_window`.
    """

    def __init__(self, levels: tuple[float, ...], window: int) -> None:
        if window < 1:
            raise PipelineError(f"a window of scores needs a length of 1 or more, got {window}")
        self.levels, self.window = tuple(float(level) for level in levels), window
        self.late = 0
        """Paths in no score: they ended after their window was written, or in one that a wrong clock made."""
        self._sums: dict[int, dict[int, dict[Author, Sums]]] = {}
        self._paths: dict[int, int] = {}
        self._served: dict[int, Sums] = {}
        self._done: deque[int] = deque(maxlen=_DONE)

    def add(self, partition: int, scored: Scored | None) -> None:
        """Take paths of one partition."""
        if scored is None or not len(scored):
            return
        if scored.levels != self.levels:
            raise PipelineError(f"paths have the levels {scored.levels}, the scores {self.levels}")
        place = scored.end // self.window
        for index in np.unique(place).tolist():
            some = np.flatnonzero(place == index)
            if index in self._done or abs(index * self.window) > _LATEST_MS:
                self.late += len(some)
                continue
            self._open(index)
            self._paths[index] += len(some)
            authors = self._sums[index].setdefault(partition, {})
            for tag in np.unique(scored.tag[some]).tolist():
                sums = authors.setdefault(scored.names[tag], Sums(len(self.levels)))
                sums.add(scored, some[scored.tag[some] == tag])

    def due(self, reached: int | None = None) -> list[int]:
        """Return the windows that are done, oldest first; none while one before it is not.

        Parameters
        ----------
        reached
            Event time that all partitions have come to: windows that end later are not done.
        """
        found, known = [], sorted(self._paths)
        for k, index in enumerate(known):
            # Few of the later ones: clocks gone wrong, however many windows they make, end none.
            later = sum(self._paths[each] for each in known[k + 1 : k + _WINDOWS])
            late = reached is not None and (index + 1) * self.window > reached
            if late or not later or 2 * later < self._paths[index]:
                break
            found.append(index)
        return found

    def open(self) -> list[int]:
        """Return all windows that hold paths, oldest first: to be written when a monitor ends."""
        return sorted(self._paths)

    def partitions(self, index: int) -> list[int]:
        """Return the partitions of which a window holds paths."""
        return list(self._sums.get(index, {}))

    def scores(self, index: int, ids: Ids, freq: Freq, part: str = "") -> list[WindowScores]:
        """Return the scores of a window, one entry a version and model.

        Parameters
        ----------
        ids
            Names the series of a partition.
        freq
            Of the model: how `cutoff` is shown.
        part
            Which partitions these are, where a monitor has not all: put behind the model of the fleet's
            scores, so that several monitors do not overwrite each other's.
        """
        tables: dict[Author, list[_Table]] = {}
        for partition, authors in self._sums.get(index, {}).items():
            for author, sums in authors.items():
                rows = np.flatnonzero(sums["paths"] + sums["missing"] > 0)
                band = self._band(partition, sums, rows)
                table = _Table(list(ids(partition, rows)), sums.take(rows), *band)
                tables.setdefault(author, []).append(table)
        return [
            WindowScores(*author, *_frames(author[1], parts, self.levels, index * self.window, freq, part))
            for author, parts in tables.items()
        ]

    def done(self, index: int) -> None:
        """Forget a window whose scores are in the store."""
        self._paths.pop(index, None)
        for partition, authors in self._sums.pop(index, {}).items():
            for k, sums in enumerate(authors.values()):
                self._life(partition).blend(sums, 1.0 if k else _KEEP)
        self._done.append(index)

    def drop(self, partition: int) -> None:
        """Forget a partition: it is another monitor's now."""
        self._served.pop(partition, None)
        for index in list(self._sums):
            gone = self._sums[index].pop(partition, {})
            self._paths[index] -= sum(int(sums["paths"].sum()) for sums in gone.values())
            if not self._sums[index]:
                del self._sums[index], self._paths[index]

    def dump(self, partition: int) -> bytes:
        """Return what is gathered of a partition, as bytes for `load`."""
        arrays = self._life(partition).parts("served-")
        windows: list[tuple[int, str, str]] = []
        for index, partitions in self._sums.items():
            for (version, model), sums in partitions.get(partition, {}).items():
                arrays |= sums.parts(f"{len(windows)}-")
                windows.append((index, version, model))
        head = {"levels": self.levels, "window": self.window, "windows": windows, "done": list(self._done)}
        return pack(head, arrays)

    def load(self, partition: int, data: bytes) -> None:
        """Take what `dump` returned, in place of what is known of the partition.

        Of other levels, or of another length of windows, nothing is taken: they are gathered anew.

        Raises
        ------
        PipelineError
            The bytes are damaged.
        """
        self.drop(partition)
        try:
            head, parts = unpack(data)
            if (tuple(head["levels"]), head["window"]) != (self.levels, self.window):
                return
            self._served[partition] = Sums.restore(parts, "served-", len(self.levels))
            for k, (index, version, model) in enumerate(head["windows"]):
                sums = Sums.restore(parts, f"{k}-", len(self.levels))
                self._open(int(index))
                self._sums[int(index)].setdefault(partition, {})[str(version), str(model)] = sums
                self._paths[int(index)] += int(sums["paths"].sum())
            self._done.extend(int(index) for index in head["done"] if index not in self._done)
        except (StreamError, LookupError, TypeError, ValueError) as error:
            raise PipelineError(
                f"the scores of a snapshot cannot be read: {error}; they begin anew without it"
            ) from None

    def _open(self, index: int) -> None:
        """Make a window; where there are too many, that of a clock gone wrong goes: few paths, far away."""
        if index in self._sums:
            return
        if len(self._sums) >= _WINDOWS and self._numbers() >= _NUMBERS:
            most = max(self._paths, key=self._paths.__getitem__)
            least = min(self._paths, key=lambda known: (self._paths[known], -abs(known - most)))
            self.late += self._paths.pop(least)
            del self._sums[least]
        self._sums[index], self._paths[index] = {}, 0

    def _numbers(self) -> int:
        """Return how many numbers all windows have."""
        authors = [each for partitions in self._sums.values() for each in partitions.values()]
        return sum(sums.size for each in authors for sums in each.values())

    def _life(self, partition: int) -> Sums:
        return self._served.setdefault(partition, Sums(len(self.levels)))

    def _band(self, partition: int, sums: Sums, rows: I64) -> tuple[F64, F64]:
        """(k, L) 1 where a series is outside its band, and where it was judged, by what was served lately."""
        lately = Sums(len(self.levels))
        lately.blend(self._life(partition), 1.0)
        lately.blend(sums, 1.0)
        lately.grow(int(rows.max()) + 1 if len(rows) else 0)
        off, judged = np.zeros((2, len(rows), len(self.levels)))
        for k, level in enumerate(self.levels):
            found, known = outside(lately, k, level / 100.0)
            off[:, k], judged[:, k] = found[rows], known[rows]
        return off, judged


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Sums of the series of one partition."""

    ids: list[str]
    sums: Mapping[str, F64]
    off: F64
    """(k, L) 1 where a series is outside its band."""
    judged: F64
    """(k, L)"""


def write_window(
    store: Store, scores: Scores, index: int, ids: Ids, freq: Freq, sql_rows: int, part: str = ""
) -> list[WindowScores]:
    """Write a window to the store, forget it, and return what was written; writing it again replaces it.

    Parameters
    ----------
    sql_rows
        Most rows that are written of series: those with the largest MASE go first.

    Raises
    ------
    StoreError
        The store cannot be written: the window stays, to be tried again.
    """
    found = scores.scores(index, ids, freq, part)
    for each in found:
        frame, left = _bounded(each.frame, sql_rows)
        if left:
            log.warning("scores of %d series are not written: more than %d rows (sql_rows)", left, sql_rows)
        sql_rows -= len(frame)
        store.write_live_scores(each.version, frame, each.fleet)
    scores.done(index)
    return found


def _bounded(frame: pd.DataFrame, most: int) -> tuple[pd.DataFrame, int]:
    """Return the rows of as many series as fit, the worst first, and how many series were left out."""
    each = frame["metric"].nunique()
    n_series = len(frame) // each if each else 0
    if len(frame) <= most:
        return frame, 0
    fit = max(most // each, 0)
    mase = frame[frame["metric"] == "mase"]
    worst = mase.sort_values(mase.columns[-1], ascending=False, na_position="last", kind="stable")
    kept = frame[frame["unique_id"].isin(set(worst["unique_id"].head(fit)))]
    return kept.reset_index(drop=True), n_series - fit


def _frames(
    model: str, parts: list[_Table], levels: tuple[float, ...], start: int, freq: Freq, part: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scores of series, and of the fleet."""
    import pandas as pd

    from pipelines.store.series import to_ds

    ids = np.array([name for table in parts for name in table.ids], dtype=object)
    sums = {name: np.concatenate([table.sums[name] for table in parts]) for name in parts[0].sums}
    series = _by_series(sums, levels)
    frame = pd.concat(
        [pd.DataFrame({"unique_id": ids, "metric": name, model: column}) for name, column in series.items()],
        ignore_index=True,
    ).drop_duplicates(["unique_id", "metric"], keep="last", ignore_index=True)
    off = np.concatenate([table.off for table in parts])
    judged = np.concatenate([table.judged for table in parts])
    rows = [*_of_fleet(series), *_shares(sums, levels, off, judged)]
    fleet = pd.DataFrame(rows, columns=["metric", "value", "n"])
    fleet.insert(0, "model", f"{model} {part}".strip())
    fleet.insert(2, "cutoff", to_ds(np.full(len(rows), start, dtype=np.int64), freq))
    return frame, fleet


def _by_series(sums: Mapping[str, F64], levels: tuple[float, ...]) -> dict[str, F64]:
    """Return each metric of every series; NaN where nothing was observed, or no scale is known."""
    n = sums["n"]
    found = {"mae": _over(sums["error"], n), "mase": _over(sums["scaled_error"], sums["scaled_n"])}
    found["crps"] = _over(sums["crps"], n)
    found["crps-scaled"] = _over(sums["scaled_crps"], sums["scaled_n"])
    for k, level in enumerate(levels):
        found[f"coverage-{level:g}"] = _over(sums["hits"][:, k], n)
    return found


def _of_fleet(series: Mapping[str, F64]) -> list[tuple[str, float, int]]:
    """Return mean and quantiles of each metric over the series that have it."""
    found = []
    for name, column in series.items():
        values = column[np.isfinite(column)]
        if len(values):
            found.append((f"{name}_mean", float(values.mean()), len(values)))
            found.append((f"{name}_p50", float(np.quantile(values, 0.5)), len(values)))
            found.append((f"{name}_p90", float(np.quantile(values, 0.9)), len(values)))
    return found


def _shares(
    sums: Mapping[str, F64], levels: tuple[float, ...], off: F64, judged: F64
) -> list[tuple[str, float, int]]:
    """Return shares of the fleet: outside of bands, missing points, scales that were made from ticks."""
    found = []
    for k, level in enumerate(levels):
        of = int(judged[:, k].sum())
        if of:
            found.append((f"outside-{level:g}", float(off[:, k].sum() / of), of))
    points, paths = float(sums["n"].sum() + sums["missing"].sum()), float(sums["paths"].sum())
    found.append(("missing", float(sums["missing"].sum() / points) if points else np.nan, int(points)))
    found.append(
        ("scale_from_ticks", float(sums["from_ticks"].sum() / paths) if paths else np.nan, int(paths))
    )
    return found


def _over(a: F64, b: F64) -> F64:
    return np.asarray(a / np.where(b > 0, b, np.nan))
