"""A place in the group that is lost while a rejoin is under way, without a broker."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

from pipelines.log.kafka.client import errors, kafka
from pipelines.log.kafka.rebalance import Change, News, hear_of_losses, is_news
from pipelines.log.records import Partition


def coordinator():
    """That of the client, as it is once a rejoin has begun and its request is refused."""
    base = pytest.importorskip("kafka.coordinator.consumer").ConsumerCoordinator
    it = type("Bare", (base,), {"_use_group_apis": True, "__del__": lambda _: None})
    it = it.__new__(it)
    news, told = News(), kafka.TopicPartition("ticks", 1)
    assigned = [told]

    async def ready(**_):
        return True

    async def prepare(*_, **__):
        if it._generation.is_lost() and assigned:
            assigned.clear()
            try:
                news.on_partitions_lost([told])
            except Exception as error:
                raise errors.KafkaError("told") from error

    async def refused(*_):
        it.reset_generation()
        it.need_rejoin = lambda: bool(assigned)
        raise errors.UnknownMemberIdError

    it._lock = threading.RLock()
    it._join_task, it.rejoining = SimpleNamespace(is_done=False), True
    it._generation = SimpleNamespace(is_lost=lambda: False, generation_id=1, member_id="w")
    it._manager = SimpleNamespace(wait_for=refused)
    it.need_rejoin, it.ensure_coordinator_ready_async, it._on_join_prepare_async = (
        lambda: True,
        ready,
        prepare,
    )
    return it, news


def test_it_is_told():
    it, news = coordinator()
    hear_of_losses(SimpleNamespace(_coordinator=it))
    with pytest.raises(errors.KafkaError) as raised:
        asyncio.run(it.join_group_async(timeout_ms=1000))
    assert is_news(raised.value)
    assert list(news.heard) == [(Change.LOST, frozenset({Partition("ticks", 1)}))]
