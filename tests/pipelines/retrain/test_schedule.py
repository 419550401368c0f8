"""Refits by the clock: which times, and each once."""

from __future__ import annotations

import builtins
import threading
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.errors import SettingsError
from pipelines.retrain.cron import parse_cron
from pipelines.retrain.promote import promote
from pipelines.retrain.schedule import due_schedules, enqueue_due
from pipelines.store import open_store
from tests.oracles import cron as oracle

NOW = datetime(2026, 3, 4, 12, 34, 56, tzinfo=UTC)  # a Wednesday


def ms(when):
    return round(when.timestamp() * 1000)


@pytest.mark.parametrize(
    "text",
    ["0 3 * * *", "*/7 * * * *", "5 * * * *", "0 0 1 * *", "30 2 * * 1", "30 2 * * 0", "30 2 * * 7",
     "0 4 * * 1-5", "0 4 * * mon-fri", "15 6,18 * * *", "0 0 13 * 5", "0 0 */9 * 2", "0 0 * mar *",
     "0 0 1-3 3 *", "0 1 * * 5-7", "0 1 * * 1-6/2", "0 1 * * */2", "0 1 * * SUN,wed",
     "12-20/4 11-13 * * *", "0 0 1 1 *"],
)  # fmt: skip
def test_the_last_fire_time_is_that_of_cron(text):
    cron = parse_cron("shop", text)
    for back in (timedelta(minutes=3), timedelta(hours=5), timedelta(days=3), timedelta(days=33)):
        for until in (NOW, NOW.replace(hour=3, minute=0, second=0)):
            after = until - back
            assert cron.last(after, until) == oracle.last(text, after, until), (back, until)


def test_a_fire_time_belongs_to_the_stretch_that_it_ends():
    cron = parse_cron("shop", "0 3 * * *")
    three = NOW.replace(hour=3, minute=0, second=0)
    assert cron.last(three - timedelta(seconds=1), three) == three
    assert cron.last(three, three + timedelta(hours=1)) is None
    assert cron.next(three) == three + timedelta(days=1)


def test_a_day_that_comes_every_four_years_is_found_after_years():
    cron = parse_cron("shop", "0 0 29 2 *")
    assert cron.last(datetime(2000, 1, 1, tzinfo=UTC), NOW) == datetime(2024, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "0 fields"), ("0 3 * *", "4 fields"), ("0 3 * * * *", "6 fields"), ("61 * * * *", "61"),
     ("a * * * *", "minute"), ("*/0 * * * *", "Increment"), ("0 0 31 2 *", "no such day"),
     ("0 0 * * 8", "0 to 7"),
     ("0 0 * * fri-mon", "backwards"), ("0 0 * * 1/2", "no range"), ("0 0 * * */0", "1 to 7"),
     ("0 0 * * 1-5/x", "1 to 7"), ("0 24 * * *", "24"), ("0 0 0 * *", "0"), ("@daily", "1 fields"),
     ("0 0 1 13 *", "13"), ("-1 0 * * *", "-1"), ("0 0 * * ²", "0 to 7")],
)  # fmt: skip
def test_a_wrong_expression_is_named_with_its_fleet(text, why):
    with pytest.raises(SettingsError) as caught:
        parse_cron("shop", text)
    told = str(caught.value)
    assert "fleet 'shop'" in told
    assert repr(text) in told
    assert why in told
    assert "\n" not in told


def test_without_the_extra_the_message_names_it(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.startswith("apscheduler"):
            raise ModuleNotFoundError("No module named 'apscheduler'", name="apscheduler")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(SettingsError, match=r"forecast-platform\[schedule\]"):
        parse_cron("shop", "0 3 * * *")
    assert enqueue_due(None, {}) == []  # without schedules nothing of it is needed


def test_what_was_missed_is_made_up_for_once():
    since = {"shop": ms(NOW - timedelta(days=9)), "zoo": ms(NOW - timedelta(hours=1))}
    due = due_schedules({"shop": "0 3 * * *", "zoo": "0 3 * * *", "new": "* * * * *"}, since, ms(NOW))
    assert [(one.fleet, one.fire_ms) for one in due] == [
        ("shop", ms(NOW.replace(hour=3, minute=0, second=0)))
    ]
    assert due[0].job_key == "shop/clock/2026-03-04T03:00+00:00"


def test_all_expressions_are_read_before_any_job_is_made():
    with pytest.raises(SettingsError, match="fleet 'zoo'"):
        due_schedules({"shop": "* * * * *", "zoo": "nonsense"}, {"shop": 0}, ms(NOW))


@pytest.fixture
def fleet(shop):
    row = shop.whole()
    promote(shop.store, "shop", row, reason="first")
    return row.added_ts_ms


def test_each_fire_time_is_one_job_for_ever(shop, fleet):
    store, schedules = shop.store, {"shop": "0 * * * *"}
    hour = 3_600_000
    first = enqueue_due(store, schedules, fleet + hour)
    assert len(first) == 1
    assert enqueue_due(store, schedules, fleet + hour) == first
    (job,) = store.jobs("shop")
    assert job.payload["kind"] == "refit"
    assert job.payload["fire_ms"] % hour == 0
    claim = store.claim_job("me", 60)
    assert enqueue_due(store, schedules, fleet + hour) == first  # while it runs
    store.finish_job(claim)
    assert enqueue_due(store, schedules, fleet + hour) == first  # and when it is done
    assert store.claim_job("me", 60) is None
    assert enqueue_due(store, schedules, fleet + 2 * hour) != first
    assert len(store.jobs("shop")) == 2


def test_a_worker_with_a_clock_ahead_does_not_stop_the_others(shop, fleet):
    year = 366 * 86_400_000
    enqueue_due(shop.store, {"shop": "0 * * * *"}, fleet + year)
    assert len(enqueue_due(shop.store, {"shop": "0 * * * *"}, fleet + 3_600_000)) == 1
    assert len(shop.store.jobs("shop")) == 2


def test_a_fleet_that_was_just_fitted_is_not_due(shop, fleet, caplog):
    assert enqueue_due(shop.store, {"shop": "0 0 1 1 *"}, fleet + 1) == []
    assert not shop.store.jobs()
    assert enqueue_due(shop.store, {"shpo": "* * * * *"}, fleet + 600_000) == []


def test_eight_workers_at_once_make_one_job_of_a_fire_time(shop, fleet):
    begin, found = threading.Barrier(8), []

    def work():
        with open_store(shop.settings.store_url, lock_timeout_s=20) as store:
            begin.wait()
            for k in range(1, 6):
                found.append((k, enqueue_due(store, {"shop": "0 * * * *"}, fleet + k * 3_600_000)))
                claim = store.claim_job("w", 60)
                if claim is not None:
                    store.finish_job(claim)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert len({(k, tuple(ids)) for k, ids in found}) == 5
    assert len(shop.store.jobs("shop")) == 5
