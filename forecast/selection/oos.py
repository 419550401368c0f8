"""Out-of-sample scale of records whose fit does not measure it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.models.spec import Model
from forecast.selection.rolling import place_origins, score
from forecast.types import Bool, Status

# As in `tournament`: the scale starts from 1 with the weight of so many points.
_PRIOR_POINTS: Final = 6.0
_WINDOWS: Final = 5
# Of a seasonal model fewer points than this leave nothing to fit at an origin.
_SHORTEST: Final = 16


def measured(records: Records, panel: Panel, model: Model, h: int, jobs: int = 1) -> Records:
    """Return `records` with `oos_scale, oos_n, oos_coverage` where the fit to `panel` did not measure them.

    The model is fitted again at a few origins inside `panel`; a series that is too short for any keeps NaN.
    """
    if np.isfinite(records.oos_scale).all():
        return records

    def fit(part: Panel) -> tuple[Records, Bool]:
        found = model.fit(part, jobs)
        return found, found.status <= Status.GUARDED

    origins = place_origins(panel, h, _WINDOWS, _SHORTEST)
    scores = score(fit, panel, origins, h, jobs)
    known = np.isfinite(records.oos_scale)
    fine = ~known & (scores.count > 0) & np.isfinite(scores.z2) & np.isfinite(scores.mae)
    with np.errstate(invalid="ignore"):
        scale = np.sqrt((_PRIOR_POINTS + scores.z2) / (_PRIOR_POINTS + scores.count))
    return replace(
        records,
        oos_scale=np.where(fine, scale, records.oos_scale),
        oos_n=np.where(fine, scores.count, records.oos_n).astype(np.int32),
        oos_coverage=np.where(fine, scores.inside / np.maximum(scores.count, 1), records.oos_coverage),
    )
