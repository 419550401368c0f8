"""Scales of errors from the training history of a version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forecast.errors import ForecastError
from forecast.selection.metrics import ragged_training_scale
from forecast.types import F64
from pipelines.errors import TrainError
from pipelines.logs import log
from pipelines.train.history import History, parts


def history_scales(folder: str | Path, ids: Sequence[str], season_length: int) -> F64:
    """(n,) mean ``|y_t - y_(t-m)|`` of series in the training history of a version; NaN where not known.

    Parameters
    ----------
    folder
        `training["history"]` of a version: one that is gone, or damaged, knows no series, and the scales
        are made from the first ticks.
    """
    history = History(Path(folder))
    known: dict[str, float] = {}
    try:
        facts = history.facts
        for k in range(parts(facts["n_series"], facts["partition_size"])):
            panel = history.panel(k)
            bounds = panel.indptr
            scale = ragged_training_scale(panel.values, bounds[:-1], bounds[1:], season_length)  # of ours
            known.update(zip(map(str, panel.ids.tolist()), scale.tolist(), strict=True))
    except (OSError, TrainError, ForecastError, LookupError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        log.warning("no scales from the training history %s (%s): they are made from ticks", folder, reason)
    return np.array([known.get(name, np.nan) for name in ids])
