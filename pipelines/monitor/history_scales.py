"""Scales of errors from the training history of a version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from forecast.errors import ForecastError
from forecast.selection.metrics import ragged_training_scale
from forecast.types import I64
from pipelines.errors import TrainError
from pipelines.logs import log
from pipelines.monitor.reference import Reference
from pipelines.train.history import History, parts


@dataclass(slots=True)
class HistoryScales:
    """Scales of the history that was asked last; read once, when a series is new."""

    _read: tuple[str, int] | None = None
    """Folder and season length of `_known`."""
    _known: dict[str, float] = field(default_factory=dict)

    def fix(self, reference: Reference, folder: str | None, ids: Callable[[I64], Sequence[str]]) -> None:
        """Fix the scales of series that were not asked about yet.

        Parameters
        ----------
        folder
            Of the history; None: there is none, and ticks say the scales.
        ids
            Names the series of rows.
        """
        rows = np.arange(reference.asked, len(reference), dtype=np.int64)
        reference.asked = max(reference.asked, len(reference))
        if folder is None or not len(rows):
            return
        if self._read != (folder, reference.m):
            self._known, self._read = read_scales(folder, reference.m), (folder, reference.m)
        reference.fix(rows, np.array([self._known.get(name, np.nan) for name in ids(rows)]))


def read_scales(folder: str | Path, season_length: int) -> dict[str, float]:
    """Return mean ``|y_t - y_(t-m)|`` of the series in the training history of a version, by id.

    Parameters
    ----------
    folder
        `training["history"]` of a version: one that is gone, or damaged, knows the series that could be
        read, and that is logged; scales of others are made from their first ticks.
    """
    history = History(Path(folder))
    known: dict[str, float] = {}
    try:
        facts = history.facts
        for k in range(parts(facts["n_series"], facts["partition_size"])):
            panel = history.panel(k)
            bounds = panel.indptr
            scale = ragged_training_scale(panel.values, bounds[:-1], bounds[1:], season_length)
            known.update(zip(map(str, panel.ids.tolist()), scale.tolist(), strict=True))
    except (OSError, TrainError, ForecastError, LookupError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        log.warning("no scales from the training history %s (%s): they are made from ticks", folder, reason)
    return known
