"""Series that the model does not have: ids are never forgotten, so there is a bound on how many are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipelines.stream.keys import KeyTable
from pipelines.stream.refusals import Letter, Refusal

if TYPE_CHECKING:
    from forecast.types import I64
    from pipelines.stream.decode import Decoded
    from pipelines.stream.desk import Desk
    from pipelines.stream.shard import Shard


def turn_away(desk: Desk, shard: Shard, decoded: Decoded) -> I64:
    """Refuse ticks of new series for which there is no place; return where ids begin, -1 of refused ones.

    Those that come first are taken on. Series of the model always have a place.
    """
    firsts, lasts, limit = decoded.id_first, decoded.id_last, desk.options.max_series
    if shard.strangers + len(firsts) <= limit:
        return firsts
    new = np.flatnonzero((shard.keys.find(decoded.data, firsts, lasts) < 0) & (firsts >= 0))
    new = new[desk.served.find(decoded.data, firsts[new], lasts[new]) < 0]
    order = KeyTable.empty().add(decoded.data, firsts[new], lasts[new])
    away = new[order >= limit - shard.strangers]
    if not len(away):
        return firsts
    detail = f"at most {limit} series that the model does not have are kept of a partition"
    decoded.refused.extend(Letter(i, Refusal.TOO_MANY_SERIES.value, detail) for i in away.tolist())
    firsts = firsts.copy()
    firsts[away] = -1
    return firsts
