"""A fleet, and ticks for it without end: with gaps, nulls, repeats, late ones and some that are none."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from kafka import KafkaProducer
from kafka.partitioner import murmur2

import forecast as fc

DT_MS = 60_000
_POINTS = 400
_START = pd.Timestamp("2026-01-01")


class Message(NamedTuple):
    """A record of the tick topic."""

    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Shares:
    """How often something happens to a tick."""

    gap: float = 0.03
    null: float = 0.03
    repeat: float = 0.03
    late: float = 0.01
    poison: float = 0.005


def make_model(folder: Path, n_series: int, seed: int) -> Path:
    """Fit AR(8) to a fleet of minutes, and store it; return its folder."""
    rng = np.random.default_rng(seed)
    ds = pd.date_range(_START, periods=_POINTS, freq="min")
    frames = [
        pd.DataFrame({"unique_id": name, "ds": ds, "y": _values(rng, _POINTS)}) for name in names(n_series)
    ]
    fc.fit(pd.concat(frames), fc.AR(lags=8), freq="min").save(folder)
    return folder


def names(n_series: int) -> list[str]:
    """Ids of the fleet."""
    return [f"series-{i:03d}" for i in range(n_series)]


def _values(rng: np.random.Generator, n: int) -> np.ndarray:
    y, e = np.zeros(n), rng.normal(size=n)
    for t in range(n):
        y[t] = (0.6 * y[t - 1] - 0.2 * y[t - 2] if t > 1 else 0.0) + e[t]
    return y + 50.0


def messages(n_series: int, seed: int, shares: Shares | None = None) -> Iterator[Message]:
    """Yield messages for ever: the fleet minute by minute, equal for equal seeds."""
    shares = shares or Shares()
    rng = np.random.default_rng([seed, 1])
    first = int(_START.timestamp() * 1000) + _POINTS * DT_MS
    before: dict[str, Message] = {}
    position = 0
    while True:
        for name in names(n_series):
            draw = rng.random(5)
            if draw[0] < shares.gap:
                continue
            value = None if draw[1] < shares.null else round(float(50.0 + rng.normal()), 3)
            message = _message(name, first + position * DT_MS, value)
            yield message
            if draw[2] < shares.repeat:
                yield message
            if draw[3] < shares.late and name in before:
                yield before[name]
            if draw[4] < shares.poison:
                yield Message(name.encode(), b'{"series_id":"' + name.encode() + b'","ts_ms":')
            before[name] = message
        position += 1


def _message(name: str, ts_ms: int, value: float | None) -> Message:
    tick = {"series_id": name, "ts_ms": ts_ms, "value": value, "v": 1}
    return Message(name.encode(), json.dumps(tick, separators=(",", ":")).encode())


class Feeder(threading.Thread):
    """Sends messages to a topic at a rate, until it is stopped."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, source: Iterator[Message], rate: float):
        super().__init__(name="feeder", daemon=True)
        self._brokers, self._topic, self._partitions = bootstrap, topic, partitions
        self._source, self._rate = source, rate
        self._stopping = threading.Event()
        self.sent = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        producer = KafkaProducer(
            bootstrap_servers=self._brokers.split(","), acks="all", enable_idempotence=True, linger_ms=5
        )
        try:
            self._send(producer)
            producer.flush()
        except BaseException as error:  # told by `stop`
            self.error = error
        finally:
            producer.close()

    def _send(self, producer: KafkaProducer) -> None:
        began = time.monotonic()
        while not self._stopping.is_set():
            due = int((time.monotonic() - began) * self._rate)
            while self.sent < due:
                key, value = next(self._source)
                number = (murmur2(key) & 0x7FFFFFFF) % self._partitions
                producer.send(self._topic, key=key, value=value, partition=number)
                self.sent += 1
            self._stopping.wait(0.01)

    def stop(self) -> int:
        """End it, and return how many messages were sent; raises what went wrong."""
        self._stopping.set()
        self.join()
        if self.error is not None:
            raise self.error
        return self.sent
