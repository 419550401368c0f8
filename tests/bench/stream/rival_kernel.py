"""The kernels of this repository for a framework that hands over one tick at a time.

What a user of such a framework would write: the state of a series lies in a bank, one call moves it and
forecasts, one call writes the message, in the bytes that `forecast stream` would have written. Runs in the
rivals' environment.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from forecast.kernels import slot_dump, slot_steps
from forecast.models import version
from forecast.online.bank import Ahead, Bank
from pipelines.kernels.forecast_json import Rows, Texts, put_forecasts
from tests.bench.stream.fleet import HORIZON, HOUR_MS, LEVEL

_MESSAGE_BYTES = 4096


class Tick(msgspec.Struct):
    series_id: str
    ts_ms: int
    value: float | None
    v: int
    exog: dict[str, float] | None = None


class OneTick:
    """Forecasts one tick a call; arrays of one are made once."""

    def __init__(self, model, topic):
        found = version.load(Path(model))
        records = found.models[0].records
        self.bank = Bank(records, HORIZON, (float(LEVEL),))
        self.nothing = self.bank._exog.now(None, np.zeros(1, np.int64), np.zeros(1, np.int64))
        self.nothing_ahead = self.bank._exog.ahead(None, 1)
        self.rows = {name: row for row, name in enumerate(records.ids.tolist())}
        self.ends = records.start // 1_000_000 + HOUR_MS * (records.nobs.astype(np.int64) - 1)
        # All series at once: one by one would cost the rival what a start costs us once.
        slots = self.bank.add(np.arange(records.n_series))
        self.slots = dict(zip(self.rows, slots.tolist(), strict=True))
        self.last = dict(zip(self.rows, self.ends.tolist(), strict=True))
        self.read = msgspec.json.Decoder(Tick).decode
        self.texts = [_texts(records.ids, found, topic, number) for number in range(64)]
        self.slot, self.gap, self.value = np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1)
        self.row, self.now, self.offset = np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64)
        self.step = np.full(1, HOUR_MS)
        shape = (1, 1, HORIZON)
        self.ahead = Ahead(np.empty((1, HORIZON)), np.empty(shape), np.empty(shape), np.empty(1))
        self.line = Rows(
            self.row, self.now, self.step, *self.ahead, np.zeros(1, np.int64), self.offset
        )  # fmt: skip
        self.ends_at = np.zeros(1, np.int64)
        self.out, self.written = np.empty(_MESSAGE_BYTES, np.uint8), np.zeros(1, np.int64)

    def restore(self, name, state):
        """Put a series where `state` says."""
        numbers = np.frombuffer(state, np.float64)
        self.last[name] = int(numbers[0])
        self.bank.load([self.slots[name]], numbers[1:], [len(numbers) - 1])

    def forecast(self, name, message, number, offset):
        """Return the message of one tick."""
        tick = self.read(message)
        self.slot[0], self.row[0] = self.slots[name], self.rows[name]
        self.gap[0] = (tick.ts_ms - self.last[name]) // HOUR_MS - 1
        self.value[0] = np.nan if tick.value is None else tick.value
        self.now[0], self.offset[0] = tick.ts_ms, offset
        self.last[name] = tick.ts_ms
        self._step()
        put_forecasts(self.texts[number], self.line, self.out, self.written)
        return self.out[: self.written[0]].tobytes()

    def _step(self):
        """`Bank.step` of one tick without its checks, straight to the kernel."""
        bank, memory, given = self.bank, self.bank._memory, self.bank._exog
        why = slot_steps.FULL
        while why != slot_steps.DONE:
            _, why = slot_steps.step_many(
                memory.numbers, memory.begins, bank._layouts.table, memory.pool, memory.held, memory.taken,
                given.sources, given.lagged, bank._layouts.widths, self.slot, self.gap, self.value,
                self.nothing, self.nothing_ahead, 0, given.back, bank._reach, *self.ahead,
            )  # fmt: skip
            if why == slot_steps.FULL:
                memory.make_room(bank._layouts)

    def state(self, name):
        """What a restart needs of a series."""
        bank, memory = self.bank, self.bank._memory
        self.slot[0] = self.slots[name]
        what = memory.numbers, memory.begins, bank._layouts.table
        slot_dump.dump_ends(*what, self.slot, bank._layouts.tail, self.ends_at)
        numbers = np.empty(1 + self.ends_at[0])
        numbers[0] = self.last[name]
        slot_dump.dump_many(*what, memory.pool, self.slot, bank._layouts.tail, numbers[1:])
        return numbers.tobytes()


def _texts(ids, found, topic, number):
    quoted = [msgspec.json.encode(name) for name in ids.tolist()]
    ends = np.cumsum([0, *map(len, quoted)])
    model, name = found.models[0].alias, found.manifest.version
    parts = (
        b',"model":"%b","version":"%b","dt_ms":' % (model.encode(), name.encode()),
        b'],"level":[%b],"lo":[' % msgspec.json.encode(float(LEVEL)),
        b',"source":{"topic":"%b","partition":%d,"offset":' % (topic.encode(), number),
    )
    texts = [np.frombuffer(part, dtype=np.uint8).copy() for part in (b"".join(quoted), *parts)]
    return Texts(texts[0], ends, *texts[1:])
