"""A log in memory, for tests of what reads and writes one."""

from __future__ import annotations

import numpy as np

from pipelines.errors import LogError
from pipelines.log.records import Partition, make_batch


class MemoryLog:
    """Partitions as lists of (key, value); `first` is the first offset that is kept."""

    def __init__(self):
        self.topics = {}
        self.first = {}
        self.commits = {}
        self.closed = 0

    def make_topics(self, topics):
        for topic in topics:
            self.topics.setdefault(topic.name, [[] for _ in range(topic.partitions)])

    def partitions(self, topic):
        if topic not in self.topics:
            raise LogError(f"there is no topic {topic!r}")
        return len(self.topics[topic])

    def append(self, topic, number, *pairs):
        self.topics[topic][number].extend(pairs)

    def values(self, topic):
        return [[value for _, value in part] for part in self.topics[topic]]

    def reader(self):
        return MemoryReader(self)

    def writer(self, linger_ms=5):
        return MemoryWriter(self)

    def member(self, membership):
        return MemoryMember(self, membership)

    def close(self):
        self.closed += 1


class MemoryWriter:
    def __init__(self, log):
        self.log = log

    def write(self, block):
        rows = [(block.key(i), block.value(i)) for i in range(len(block.keys))]
        self.log.append(block.partition.topic, block.partition.number, *rows)

    def pending(self):
        return 0

    def flush(self):
        pass

    def close(self):
        pass


class MemoryReader:
    def __init__(self, log):
        self.log = log
        self.at = {}

    def assign(self, positions):
        self.at = {p: self.begins([p])[p] if at is None else at for p, at in positions.items()}

    def begins(self, partitions):
        return {p: self.log.first.get(p, 0) for p in partitions}

    def ends(self, partitions):
        return {p: len(self.log.topics[p.topic][p.number]) for p in partitions}

    def positions(self):
        return dict(self.at)

    def poll(self, timeout_s, limit):
        found = []
        for p, at in self.at.items():
            rows = self.log.topics[p.topic][p.number][at : at + limit]
            if rows:
                offsets = np.arange(at, at + len(rows))
                found.append(make_batch(p, offsets, offsets, rows, int(offsets[-1]) + 1))
                self.at[p] = int(offsets[-1]) + 1
        return found

    def close(self):
        self.at = {}


class MemoryMember(MemoryReader):
    """Alone in its group: has every partition from its first poll on."""

    def __init__(self, log, membership):
        super().__init__(log)
        self.membership = membership
        self.joined = False

    def join(self, topics, listener):
        self.listener = listener
        self.mine = frozenset(Partition(t, n) for t in topics for n in range(self.log.partitions(t)))

    def poll(self, timeout_s, limit):
        if not self.joined:
            self.joined = True
            self.listener.assigned(self.mine)
        return super().poll(timeout_s, limit)

    def seek(self, positions):
        self.at |= positions

    def committed(self, partitions):
        return {p: self.log.commits.get((self.membership.group, p)) for p in partitions}

    def commit(self, positions):
        self.log.commits |= {(self.membership.group, p): at for p, at in positions.items()}

    def lose(self, *partitions):
        for p in partitions:
            self.at.pop(p)
        self.listener.revoked(frozenset(partitions))
