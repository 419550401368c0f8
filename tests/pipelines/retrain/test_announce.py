"""Champions are told to the control topic until every one was."""

from __future__ import annotations

import pytest

from pipelines.errors import LogError
from pipelines.retrain.announce import announce
from pipelines.retrain.promote import promote, rollback
from pipelines.store import open_store
from pipelines.stream.metrics import Totals
from pipelines.stream.models import ChampionLoader
from pipelines.stream.swapping import ControlWatcher
from pipelines.wire import decode_control
from tests.pipelines.memory_log import MemoryLog

TOPIC = "model-control"


class DownLog(MemoryLog):
    """Refuses one step of writing: "topics", "write" or "flush"."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def make_topics(self, topics):
        self._maybe("topics")
        super().make_topics(topics)

    def writer(self, linger_ms=5):
        log, writer = self, super().writer()

        class Writer:
            closed = False

            def write(self, block):
                log._maybe("write")
                writer.write(block)

            def flush(self):
                log._maybe("flush")

            def close(self):
                Writer.closed = True

        self.last = Writer
        return Writer()

    def _maybe(self, step):
        if self.step == step:
            raise LogError("no broker", retriable=True)


@pytest.fixture
def promoted(shop):
    first = shop.whole()
    promote(shop.store, "shop", first, reason="first")
    return first


def told(log):
    (part,) = log.values(TOPIC)
    return [(c.name, c.row_version, c.version) for c in map(decode_control, part)]


def test_every_champion_is_told_once_with_its_name_as_key(shop, promoted):
    log = MemoryLog()
    assert announce(shop.store, log) == 1
    assert announce(shop.store, log) == 0
    assert told(log) == [("shop", 1, promoted.version)]
    assert log.topics[TOPIC][0][0][0] == b"shop"
    assert announce(shop.store, log, again=True) == 1
    assert announce(shop.store, log, fleet="other") == 0


def test_other_fleets_are_told_too(shop, promoted):
    import dataclasses

    from forecast.models import version

    manifest = version.load(promoted.artifact_uri).manifest
    shop.store.add_version("zoo", dataclasses.replace(manifest), promoted.artifact_uri)
    promote(shop.store, "zoo", 1, reason="first")
    log = MemoryLog()
    assert announce(shop.store, log, fleet="zoo") == 1
    assert announce(shop.store, log) == 1
    assert [name for name, *_ in told(log)] == ["zoo", "shop"]


@pytest.mark.parametrize("step", ["topics", "write", "flush"])
def test_a_log_that_is_down_is_told_when_it_is_back(shop, promoted, step):
    log = DownLog(step)
    with pytest.raises(LogError, match="no broker"):
        announce(shop.store, log)
    assert shop.store.champion("shop").announced == 0
    second = shop.overlay(promoted, ("b",))
    promote(shop.store, "shop", second, reason="meanwhile")
    log.step = None
    log.topics.clear()
    assert announce(shop.store, log) == 1
    assert told(log) == [("shop", 2, second.version)]
    assert shop.store.champion("shop").announced == 2


def test_after_a_crash_between_message_and_note_it_is_told_twice(shop, promoted, monkeypatch):
    log = MemoryLog()

    def crash(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(shop.store), "set_told", crash)
        with pytest.raises(KeyboardInterrupt):
            announce(shop.store, log)
    assert announce(shop.store, log) == 1
    assert told(log) == 2 * [("shop", 1, promoted.version)]


def test_a_stream_takes_each_change_once_however_often_it_is_told(shop, promoted):
    log = MemoryLog()
    announce(shop.store, log)
    asked = []
    load = ChampionLoader(lambda: open_store(shop.settings.store_url))

    def loading(control):
        asked.append(control.row_version)
        return load(control)

    watcher = ControlWatcher(log, TOPIC, "shop", 1, loading, Totals())
    from pipelines.log.records import Partition

    reader = log.reader()
    reader.assign({Partition(TOPIC, 0): None})
    watcher._turn(reader)
    assert watcher.take() is None
    second = shop.overlay(promoted, ("b",))
    promote(shop.store, "shop", second, reason="drift")
    for _ in range(3):
        announce(shop.store, log, again=True)
    watcher._turn(reader)
    assert watcher.take().served.version == second.version
    rollback(shop.store, "shop")
    announce(shop.store, log)
    announce(shop.store, log, again=True)
    watcher._turn(reader)
    assert watcher.take().served.version == promoted.version
    watcher._turn(reader)
    assert watcher.take() is None
    assert asked == [2, 3]
