"""Topics of a stream: made where they are missing, looked at where they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import LogError, StreamError
from pipelines.log.protocol import Topic

if TYPE_CHECKING:
    from pipelines.log.protocol import Log
    from pipelines.stream.topics import Topics


def make_stream_topics(log: Log, topics: Topics, control: str, partitions: int) -> int:
    """Make what is missing; return how many partitions there are.

    Output and state of a partition go to the partition of its number, so all have as many.

    Parameters
    ----------
    partitions
        Of the ticks, where that topic is missing too.

    Raises
    ------
    StreamError
        Two topics have one name, or a topic that is there has another number of partitions.
    """
    names = [*topics, control]
    for name in names:
        if names.count(name) > 1:  # the service would read what it writes, and answer it, for ever
            raise StreamError(f"topic {name!r} is named for two purposes: each needs a topic of its own")
    n = count_partitions(log, topics.ticks) or partitions
    log.make_topics(
        [
            Topic(topics.ticks, n),
            Topic(topics.forecasts, n),
            Topic(topics.state, n, compact=True),
            Topic(topics.late, n),
            Topic(topics.dead, n),
            Topic(control, 1, compact=True),
        ]
    )
    for name in topics:
        found = log.partitions(name)
        if found != n:
            raise StreamError(
                f"topic {name!r} has {found} partitions and {topics.ticks!r} has {n}: they must be as many; "
                "add partitions, or name another topic"
            )
    return n


def count_partitions(log: Log, topic: str) -> int | None:
    """Return how many partitions a topic has, None where there is no such topic."""
    try:
        return log.partitions(topic)
    except LogError as error:
        if error.retriable:
            raise
        return None
