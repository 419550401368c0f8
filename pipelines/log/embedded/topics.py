"""Topics of an embedded log and their partitions."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pipelines.errors import LogError
from pipelines.log.embedded.faults import naming_faults
from pipelines.log.embedded.file import LogFile
from pipelines.log.protocol import Topic
from pipelines.log.records import Partition

_NAME: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")
_MOST_PARTITIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a partition is kept."""

    partition_id: int
    compact: bool


class Topics:
    """Partitions by name, as one connection sees them; kept once they were seen, for they never go."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._places: dict[Partition, Place] = {}

    def place(self, partition: Partition) -> Place:
        """Return where a partition is; `LogError` where there is none."""
        if partition not in self._places:
            count = self.count(partition.topic)
            if partition not in self._places:
                raise LogError(f"topic {partition.topic!r} has {count} partitions, no {partition.number}")
        return self._places[partition]

    def count(self, topic: str) -> int:
        """Return how many partitions a topic has; `LogError` where there is no such topic."""
        return len(self.partitions(topic))

    def partitions(self, topic: str) -> list[Partition]:
        """Return the partitions of a topic, in order."""
        with naming_faults(self._file.path):
            rows = self._file.connection.execute(
                "SELECT number, partition_id, compact FROM partition JOIN topic USING (topic_id) "
                "WHERE name = ? ORDER BY number",
                (topic,),
            ).fetchall()
        if not rows:
            raise LogError(f"{self._file.path} has no topic {topic!r}; make it first")
        found = {Partition(topic, number): Place(place, bool(compact)) for number, place, compact in rows}
        self._places.update(found)
        return list(found)

    def make(self, topics: Iterable[Topic]) -> None:
        """Make those that are not there."""
        wanted = list(topics)
        for topic in wanted:
            _check(topic)
        with self._file.writing() as connection:
            for topic in wanted:
                _make(connection, topic)


def _check(topic: Topic) -> None:
    if not _NAME.fullmatch(topic.name):
        raise LogError(f"topic {topic.name!r}: a name has 1 to 249 of A-Z a-z 0-9 . _ -")
    if not 1 <= topic.partitions <= _MOST_PARTITIONS:
        raise LogError(
            f"topic {topic.name!r}: {topic.partitions} partitions, must be 1 to {_MOST_PARTITIONS}"
        )


def _make(connection: sqlite3.Connection, topic: Topic) -> None:
    made = connection.execute(
        "INSERT INTO topic (name, compact) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING topic_id",
        (topic.name, int(topic.compact)),
    ).fetchone()
    if made is not None:
        connection.executemany(
            "INSERT INTO partition (topic_id, number) VALUES (?, ?)",
            [(made[0], number) for number in range(topic.partitions)],
        )
