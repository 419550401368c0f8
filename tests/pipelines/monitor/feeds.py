"""A fleet in a store, and its ticks and forecasts in an embedded log."""

from __future__ import annotations

import numpy as np

from forecast.models import version as versions
from forecast.models.freq import Freq
from forecast.models.version import StoredModel
from pipelines.log.protocol import Delivery, Membership, Topic
from pipelines.log.records import Partition, make_block
from pipelines.monitor.options import MonitorOptions
from pipelines.wire import Forecast, Source, Tick, encode_forecast, encode_tick
from tests.strategies import make_records

HOUR = 3_600_000
START = 1_700_000_400_000 // HOUR * HOUR


def register(store, root, ids, oos_scale=1.0, parent=None, fleet="shop", alias="AR", const=0.0, **fields):
    """Save and register a version of white noise; return its sha256."""
    records = make_records(
        len(ids), ids=np.array(ids, dtype=object), oos_scale=np.broadcast_to(oos_scale, len(ids)).copy(),
        freq=Freq("h"), const=const, **fields,
    )  # fmt: skip
    folder = root / f"v{len(list(root.glob('v*')))}"
    manifest = versions.save(
        folder, [StoredModel(alias, {"name": alias}, records)], schema={"y": "float64"}, created_by="tests",
        parent_version=parent,
    )  # fmt: skip
    store.add_version(fleet, manifest, str(folder))
    return manifest.version


def forecast(name, step, z, version, offset=0, model="AR", h=3, partition=0, mean=0.0, ticks="ticks"):
    path = [mean] * h
    return Forecast(
        series_id=name, ts_ms=START + step * HOUR, model=model, version=version, dt_ms=HOUR, mean=path,
        level=[95.0], lo=[[m - 2.0 for m in path]], hi=[[m + 2.0 for m in path]], z=z,
        imputed=int(z is None), source=Source(topic=ticks, partition=partition, offset=offset), v=1,
    )  # fmt: skip


class Feed:
    """Writes ticks, and the forecasts made of them, as the stream does."""

    def __init__(self, log, partitions=1):
        log.make_topics([Topic("ticks", partitions), Topic("forecasts", partitions)])
        self.log, self.writer = log, log.writer()
        self.offsets = dict.fromkeys(range(partitions), 0)
        self.at = {}

    def encode(self, rows, version, partition=0, model="AR", ticks="ticks"):
        """Return records of forecasts and of their ticks, of rows as in `send`."""
        made, seen = [], []
        for name, step, z, *exog in rows:
            offset = self.offsets[partition]
            self.offsets[partition] += 1
            tick = Tick(series_id=name, ts_ms=START + step * HOUR, value=z, exog=exog[0] if exog else {}, v=1)
            message = forecast(name, step, z, version, offset, model, partition=partition, ticks=ticks)
            seen.append((name.encode(), encode_tick(tick)))
            made.append((name.encode(), encode_forecast(message)))
        return made, seen

    def send(self, rows, version, partition=0):
        """Rows are (id, step, value) or (id, step, value, regressors); z is the value."""
        made, seen = self.encode(rows, version, partition)
        self.writer.write(make_block(Partition("ticks", partition), seen))
        self.writer.write(make_block(Partition("forecasts", partition), made))

    def raw(self, *pairs, topic="forecasts", partition=0):
        self.writer.write(make_block(Partition(topic, partition), pairs))


def shifted(ids, steps, shift_at, shift=3.0, who=None, seed=0, first=0):
    """Rows of noise in the order of time; the series in `who` move at a step."""
    rng = np.random.default_rng(seed)
    rows = []
    for step in range(first, first + steps):
        for name in ids:
            moved = (who is None or name in who) and step >= shift_at
            rows.append((name, step, round(float(rng.normal()) + (shift if moved else 0.0), 6)))
    return rows


def options(**given):
    given.setdefault("stop_at_end", True)
    instance, group = given.pop("instance", "m1"), given.pop("group", "monitor")
    session = given.pop("session_timeout_s", 10.0)
    membership = Membership(group, instance, Delivery.AT_LEAST_ONCE, session)
    return MonitorOptions("shop", membership, **given)


def alerts(log, topic="drift-events"):
    from pipelines.wire import decode_drift

    reader = log.reader()
    places = [Partition(topic, n) for n in range(log.partitions(topic))]
    reader.assign(dict.fromkeys(places))
    found = []
    while any(reader.positions().get(at, 0) < end for at, end in reader.ends(places).items()):
        batches = reader.poll(0.2, 1000)
        found += [decode_drift(batch.value(i)) for batch in batches for i in range(len(batch.offsets))]
    reader.close()
    return found
