"""A refit that a person asks for."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from forecast.errors import nearest
from pipelines.errors import TrainError
from pipelines.retrain.work import DRIFT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.store import Store


def ask(
    store: Store,
    fleet: str,
    series: Sequence[str] = (),
    *,
    model: str | None = None,
    input: str | None = None,
    sql: bool = False,
) -> int:
    """Put a refit of some series of a fleet, or of all, into the queue; return its job.

    The same question that waits already is joined. A job of drift that waits for the fleet is not: it would
    not know of these series.

    Parameters
    ----------
    series
        Ids as text; none: all.
    model
        Alias; None: the one that serves.
    input, sql
        Path, or query, in place of the history of the training. The database of the query is that of the
        settings of the worker: a queue is no place for passwords.

    Raises
    ------
    TrainError
        The fleet has no champion.
    """
    if store.champion(fleet) is None:
        fleets = sorted({row.fleet for row in store.champions()})
        raise TrainError(
            f"fleet {fleet!r} has no champion to refit{nearest(fleet, fleets)}; fleets that have one: "
            f"{', '.join(fleets) or 'none'}"
        )
    payload: dict[str, Any] = {
        "kind": DRIFT, "series": sorted(set(map(str, series))) or "all", "model": model, "input": input,
        "sql": sql, "by_hand": True,
    }  # fmt: skip
    text = json.dumps(payload, sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return store.enqueue(fleet, payload, job_key=f"{fleet}/hand/{digest}")
