"""Another version of the model while the service runs: announced on the control topic, loaded by a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from forecast.errors import ForecastError
from pipelines.errors import PipelineError, StreamError
from pipelines.log.records import Partition
from pipelines.logs import log
from pipelines.wire import Control, WireError, decode_control

if TYPE_CHECKING:
    from pipelines.log.protocol import Log, Reader
    from pipelines.log.records import Batch
    from pipelines.stream.forecaster import Forecaster
    from pipelines.stream.health import Health
    from pipelines.stream.metrics import Totals
    from pipelines.stream.served import Served

# Controls are a few bytes and rare; the wait is how long a stop may take.
_POLL_S: Final = 0.25
_RECORDS: Final = 1_000

# Messages of one read that the store is asked about, from the newest on, until it knows one. Each may load a
# model; more than a few that it does not know are no mistake.
_MOST_WANTED: Final = 16

# A store or a log that does not answer: tried again for as long as the service runs.
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Announced:
    """A version that is loaded and can be taken."""

    control: Control
    served: Served


@dataclass(slots=True)
class ControlWatcher:
    """Follows the control topic in a thread of its own; the loop takes what is ready.

    A message only says that something changed. `load` looks the champion up in the store, which is the
    truth, loads it and checks it; what it refuses is counted and logged, and the old model goes on.
    """

    log: Log
    topic: str
    name: str
    row_version: int
    """Of the newest version that could be taken; what is not newer is ignored."""
    load: Callable[[Control], Served]
    totals: Totals
    _ready: Announced | None = None
    _wanted: list[Control] = field(default_factory=list)
    """The newest last. An older one is asked for where those after it are refused."""
    _wait_s: float = _FIRST_WAIT_S
    _closing: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow the topic, from its first record."""
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def take(self) -> Announced | None:
        """Return a version that is ready, once."""
        if self._ready is None:  # cheap, and called for every batch
            return None
        with self._lock:
            ready, self._ready = self._ready, None
            return ready

    def close(self, wait_s: float = 1.0) -> None:
        """Stop; a version that is being loaded is not waited for longer."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(wait_s)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._follow()
            except Exception as error:  # whatever it is: promotions are followed as long as the worker lives
                unknown = not isinstance(error, PipelineError | OSError)
                log.warning(
                    "control topic %s: %s; trying again in %.0f s", self.topic, error, self._wait_s,
                    exc_info=unknown,
                )  # fmt: skip
                self._closing.wait(self._wait_s)
                self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)

    def _follow(self) -> None:
        reader = self.log.reader()
        try:
            reader.assign({Partition(self.topic, i): None for i in range(self.log.partitions(self.topic))})
            while not self._closing.is_set():
                self._turn(reader)
        finally:
            reader.close()

    def _turn(self, reader: Reader) -> None:
        for batch in reader.poll(_POLL_S, _RECORDS):
            self._read(batch)
        while self._wanted:
            self._prepare(self._wanted[-1])
        self._wait_s = _FIRST_WAIT_S

    def _read(self, batch: Batch) -> None:
        for i in range(len(batch.offsets)):
            value = batch.value(i)
            if value is None:  # a tombstone: a fleet that is gone
                continue
            try:
                control = decode_control(value)
            except WireError as error:
                self._refuse(f"message at offset {batch.offsets[i]}: {error}")
                continue
            if control.name == self.name and control.row_version > self.row_version:
                self._want(control)

    def _want(self, control: Control) -> None:
        """Note what is to be asked for: a row version that the store has not must not hide those it has."""
        if control not in self._wanted:
            self._wanted.append(control)
            self._wanted.sort(key=lambda each: each.row_version)
            del self._wanted[:-_MOST_WANTED]

    def _prepare(self, control: Control) -> None:
        try:
            served = self.load(control)
        except (ForecastError, PipelineError, OSError, ValueError) as error:
            if getattr(error, "retriable", False):
                raise  # the store does not answer: waited for, and asked again
            self._refuse(f"{control.name} {control.version[:12]} (row {control.row_version}): {error}")
            self._wanted.remove(control)
        else:
            self.row_version = max(self.row_version, served.row_version)  # its own message is still to come
            with self._lock:
                self._ready = Announced(control, served)
            self.row_version = max(control.row_version, served.row_version)
            self._wanted.clear()

    def _refuse(self, what: str) -> None:
        self.totals.add("swaps_refused")
        log.error("control topic %s: refused: %s; the model in use goes on", self.topic, what)


def take_version(served: Served, engine: Forecaster, totals: Totals, health: Health) -> None:
    """Take a version into use, between two batches; where the engine refuses it, the old one goes on."""
    old, new = health.version, served.version[:12]  # the store may be ahead of the message
    try:
        engine.swap(served)
    except (ForecastError, StreamError) as error:
        totals.add("swaps_refused")
        log.error("version %s cannot be taken: %s; the model in use goes on", new, error)
        return
    totals.add("swaps")
    health.version = served.version
    log.info(
        "model %s: version %s in place of %s", served.name, new, old[:12],
        extra={"data": {"version": served.version, "row_version": served.row_version}},
    )  # fmt: skip
