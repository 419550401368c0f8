"""Champions are told to the control topic, until every one has been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipelines.log.protocol import Topic
from pipelines.log.records import Partition, make_block
from pipelines.logs import log as lines
from pipelines.wire import Control, encode_control

if TYPE_CHECKING:
    from pipelines.log.protocol import Log
    from pipelines.store import ChampionRow, Store

CONTROL: Final = "model-control"
"""Topic that the stream follows when it is not told otherwise."""


def announce(
    store: Store, log: Log, control_topic: str = CONTROL, fleet: str | None = None, *, again: bool = False
) -> int:
    """Tell every champion that was changed since it was last told; return how many that were.

    The message comes first and the note of it in the store after: a crash between the two sends it twice,
    which is harmless, because a stream ignores a row version that it has.

    Parameters
    ----------
    fleet
        Only this one.
    again
        Also what was told before: for a topic that lost it.

    Raises
    ------
    LogError
        The log cannot be written; what was not told is told by the next call.
    """
    due = [each for each in champions(store, fleet) if again or each.announced < each.row_version]
    if not due:
        return 0
    # As the stream makes it: one partition, and compact, so that the last word on a fleet is kept for ever.
    log.make_topics([Topic(control_topic, 1, compact=True)])
    writer = log.writer()
    try:
        writer.write(make_block(Partition(control_topic, 0), [_message(each) for each in due]))
        writer.flush()
    finally:
        writer.close()
    for each in due:
        store.set_told(each.fleet, each.row_version, announced=True)
        lines.info("%s told to %s as champion %d", each.version.name, control_topic, each.row_version)
    return len(due)


def champions(store: Store, fleet: str | None = None) -> list[ChampionRow]:
    """Return the champion of every fleet that has one, or of one fleet."""
    if fleet is None:
        return store.champions()
    found = store.champion(fleet)
    return [] if found is None else [found]


def _message(champion: ChampionRow) -> tuple[bytes, bytes]:
    control = Control(
        name=champion.fleet, version=champion.version.version, row_version=champion.row_version, v=1
    )
    return champion.fleet.encode(), encode_control(control)
