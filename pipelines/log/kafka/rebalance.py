"""News of a rebalance, carried from the client's own thread to the one that polls.

The client calls its listener in the thread that talks to the brokers, where nothing may wait: a commit
there would wait for itself. So the listener only writes down what happened, and raises, so that the poll
returns at once: nothing is given away before the news is dealt with, for the next step of the rebalance
is taken by the next poll.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from typing import Any

from pipelines.log.kafka.client import kafka
from pipelines.log.kafka.reading import ours
from pipelines.log.records import Partition


class Change(Enum):
    """What became of partitions."""

    ASSIGNED = auto()
    REVOKED = auto()
    LOST = auto()


class NewsError(Exception):
    """Ends a poll: there is news."""


class News(kafka.ConsumerRebalanceListener):  # type: ignore[misc]  # a client without types
    """Listener of the client; what it heard is in `heard`, in order."""

    def __init__(self) -> None:
        self.heard: deque[tuple[Change, frozenset[Partition]]] = deque()
        self.closing = False

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        self._hear(Change.ASSIGNED, assigned)

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        self._hear(Change.REVOKED, revoked)

    def on_partitions_lost(self, lost: Iterable[Any]) -> None:
        self._hear(Change.LOST, lost)

    def _hear(self, change: Change, partitions: Iterable[Any]) -> None:
        if not self.closing and (found := ours(partitions)):
            self.heard.append((change, found))
            raise NewsError(change.name)


def is_news(error: BaseException) -> bool:
    """Tell whether a poll was ended by news."""
    return isinstance(error.__cause__, NewsError)


def keep_joining(consumer: Any) -> None:  # noqa: ANN401  # a client without types
    """Have the next poll wait for a rejoin that is under way.

    The client forgets one that new partitions of a topic have begun, if a poll ends between its two steps
    (3.0.12): without an answer to the second it would neither read nor join again.
    """
    coordinator: Any = getattr(consumer, "_coordinator", None)
    if getattr(coordinator, "_join_task", None) is not None and not coordinator.need_rejoin():
        coordinator.request_rejoin()


def forget_answers(consumer: Any) -> None:  # noqa: ANN401  # a client without types
    """Have the next question for committed positions put to the brokers.

    The client keeps a question that was given up, and hands its answer to the next who asks for the same
    partitions, however much later (3.0.12): a position from before the last commit.
    """
    coordinator: Any = getattr(consumer, "_coordinator", None)
    kept: dict[object, object] | None = getattr(coordinator, "_offset_fetch_futures", None)
    if kept is not None:
        kept.clear()


def hear_of_losses(consumer: Any) -> None:  # noqa: ANN401  # a client without types
    """Have the listener hear of a place that was lost while a rejoin was under way.

    The client tells once a rejoin, at its beginning (3.0.12). Thrown out after that, it would join as another
    member and say nothing: partitions that were another's meanwhile would go on with an old state.
    """
    coordinator: Any = getattr(consumer, "_coordinator", None)
    reset = getattr(coordinator, "reset_generation", None)
    if reset is None or not hasattr(coordinator, "rejoining"):
        return

    def reset_and_tell(*given: Any, **named: Any) -> None:  # noqa: ANN401
        reset(*given, **named)
        coordinator.rejoining = False

    coordinator.reset_generation = reset_and_tell
