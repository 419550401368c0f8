"""Partitions that come, go and are lost in the middle of work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.errors import StreamError
from pipelines.log.records import Partition
from pipelines.stream.preparing import make_stream_topics
from pipelines.stream.service import run_service
from pipelines.stream.stopping import Stop
from tests.pipelines.stream.adding import TOPICS, AddingEngine, produce, read, served, tick
from tests.pipelines.stream.faulty import FaultyLog, Killed, Plan
from tests.pipelines.stream.sums import check, fill, options

ONE = frozenset({Partition(TOPICS.ticks, 1)})


class Scripted(FaultyLog):
    """A log whose group takes and gives partition 1 at given polls."""

    def __init__(self, log, script):
        super().__init__(log, Plan())
        self.script, self.polls = script, 0

    def member(self, membership):
        member = super().member(membership)
        join, poll = member.end.join, member.end.poll

        def joined(topics, listener):
            self.listener = listener
            join(topics, listener)

        def polled(timeout_s, limit):
            self.polls += 1
            for what in self.script.get(self.polls, ()):
                getattr(self.listener, what)(ONE)
            return poll(timeout_s, limit)

        member.end.join, member.end.poll = joined, polled
        return member


@pytest.mark.parametrize(
    "script",
    [
        {3: ["revoked"], 6: ["assigned"]},
        {4: ["lost"], 6: ["assigned"]},
        {4: ["lost", "assigned"]},
        {4: ["revoked", "assigned"], 5: ["lost", "assigned"], 6: ["revoked", "assigned"]},
        {n: ["lost", "assigned"] for n in range(3, 9)},
        {2: ["revoked"], 4: ["assigned"]},
        {n: ["revoked", "assigned"] for n in range(2, 9)},
    ],
)
@pytest.mark.parametrize("commit_interval_s", [0.0, 0.02])
def test_what_comes_back_is_restored_and_nothing_is_lost_or_twice(log, script, commit_interval_s):
    expected, engine = fill(log), AddingEngine()
    totals = run_service(
        Scripted(log, script), engine, served(), options(commit_interval_s=commit_interval_s), Stop()
    )
    check(log, expected, engine)
    assert totals.counts["rebalances"] == 1 + sum(map(len, script.values()))


def test_a_lost_partition_aborts_the_transaction_that_knows_of_it(log):
    expected, engine = fill(log), AddingEngine()
    scripted = Scripted(log, {5: ["lost", "assigned"]})
    totals = run_service(scripted, engine, served(), options(commit_interval_s=5.0, batch_limit=10), Stop())
    check(log, expected, engine)
    assert totals.counts["restored"] >= 4  # both at the start, both after the abort


def test_a_rebalance_interrupts_a_restore(log, monkeypatch):
    """Every slice is one record; the partition is taken away between two of them, and comes back."""
    expected = fill(log, half=lambda: run_service(log, AddingEngine(), served(), options(), Stop()))
    monkeypatch.setattr("pipelines.stream.restoring._SLICE_RECORDS", 1)
    monkeypatch.setattr("pipelines.stream.worker._RESTORE_SLICE_S", 0.0)
    engine = AddingEngine()
    script = {3: ["revoked"], 5: ["assigned"], 6: ["lost"], 9: ["assigned"]}
    run_service(Scripted(log, script), engine, served(), options(), Stop())
    check(log, expected, engine)


def test_the_end_of_a_changelog_that_is_a_marker_is_reached(log):
    """The last changelog record of Kafka is a marker: no record ever has the offset before the end."""
    expected = fill(log, half=lambda: run_service(log, AddingEngine(), served(), options(), Stop()))

    class Marked(FaultyLog):
        def reader(self):
            reader = super().reader()
            ends, positions = reader.end.ends, reader.end.positions
            reader.end.ends = lambda places: {
                at: end + (at.topic == TOPICS.state) for at, end in ends(places).items()
            }
            reader.end.positions = lambda: {
                at: end + (end == ends([at])[at]) for at, end in positions().items()
            }
            return reader

    engine = AddingEngine()
    run_service(Marked(log, Plan()), engine, served(), options(), Stop())
    check(log, expected, engine)


def test_a_changelog_that_gives_nothing_is_an_error_in_the_end(log, monkeypatch):
    monkeypatch.setattr("pipelines.stream.restoring._STALLED_S", 0.1)
    fill(log)

    class Stuck(FaultyLog):
        def reader(self):
            reader = super().reader()
            ends = reader.end.ends
            reader.end.ends = lambda places: {
                at: end + 5 * (at.topic == TOPICS.state) for at, end in ends(places).items()
            }
            return reader

    with pytest.raises(StreamError, match="gives nothing") as raised:
        run_service(Stuck(log, Plan()), AddingEngine(), served(), options(), Stop())
    assert raised.value.retriable


def test_ticks_that_are_kept_no_longer_are_counted_and_passed_over(log):
    fill(log, 10, half=lambda: run_service(log, AddingEngine(), served(), options(), Stop()))
    log.forget(Partition(TOPICS.ticks, 1), 8)
    totals = run_service(log, AddingEngine(), served(), options(), Stop())
    assert totals.counts["skipped"] == 3
    assert totals.counts["ticks"] == 5 + 2


def test_ticks_that_are_deleted_under_a_running_worker_are_counted_and_passed_over(log, caplog):
    """Half of them while it reads, the rest when it has no more to read: it commits where it goes on."""
    expected = fill(log)

    class Deleting(FaultyLog):
        def member(self, membership):
            member = super().member(membership)
            poll, seen = member.end.poll, {1: 0}

            def polled(timeout_s, limit):
                batches = poll(timeout_s, limit)
                for batch in batches:
                    seen[batch.partition.number] = batch.position
                if seen[1] == 7 and not batches_before:
                    log.forget(Partition(TOPICS.ticks, 1), 12)
                    batches_before.append(12)
                if seen[1] == 26:
                    log.forget(Partition(TOPICS.ticks, 1), 30)
                return batches

            batches_before = []
            member.end.poll = polled
            return member

    totals = run_service(Deleting(log, Plan()), AddingEngine(), served(), options(), Stop())
    assert totals.counts["skipped"] == (12 - 7) + (30 - 26)
    assert totals.counts["ticks"] == 60 - 9
    assert "5 ticks of ticks-1 were deleted before they were read: going on from 12" in caplog.text
    again = run_service(log, AddingEngine(), served(), options(), Stop())
    assert again.counts["ticks"] == again.counts["skipped"] == 0
    assert len(read(log, TOPICS.forecasts)[0]) == len(expected[0][0])


def test_what_was_skipped_is_counted_once_though_the_transaction_was_aborted(log):
    from pipelines.stream.metrics import Totals
    from pipelines.stream.restoring import Restorer

    at, totals = Partition(TOPICS.ticks, 0), Totals()
    restorer = Restorer(None, None, AddingEngine(), TOPICS.ticks, TOPICS.state, totals)
    for first, end, count in ((5, 9, 4), (3, 9, 6), (3, 9, 6), (9, 12, 9), (20, 21, 10)):
        restorer.skip(at, first, end)
        assert totals.counts["skipped"] == count


class Marked(FaultyLog):
    """Ticks end with a marker of a transaction: an offset without a record; members read on behind it."""

    def _marked(self, ends):
        return lambda places: {at: end + (at.topic == TOPICS.ticks) for at, end in ends(places).items()}

    def reader(self):
        reader = super().reader()
        reader.end.ends = self._marked(reader.end.ends)
        return reader

    def member(self, membership):
        member = super().member(membership)
        ends, positions = member.end.ends, member.end.positions
        member.end.ends = self._marked(ends)
        member.end.positions = lambda places: {
            at: position + (position == ends([at])[at]) for at, position in positions(places).items()
        }
        return member


@pytest.mark.parametrize("lag_every_s", [0.0, 5.0])
def test_a_marker_at_the_end_of_the_ticks_is_an_end_too(log, monkeypatch, lag_every_s):
    monkeypatch.setattr("pipelines.stream.worker._LAG_EVERY_S", lag_every_s)
    expected = fill(log)
    for _ in range(2):  # with ticks before it, and with nothing else left
        engine = AddingEngine()
        totals = run_service(Marked(log, Plan()), engine, served(), options(), Stop())
        check(log, expected, engine)
        assert lag_every_s > 0.0 or totals.lag == {0: 0, 1: 0}  # nothing is left to alert on


def forget_positions(log):
    with log._file.writing() as connection:
        connection.execute("DELETE FROM position")


def test_positions_that_are_kept_no_longer_cost_a_second_look_and_no_second_forecast(log):
    """The state knows which ticks it has seen."""
    expected = fill(log, half=lambda: run_service(log, AddingEngine(), served(), options(), Stop()))
    forget_positions(log)
    engine = AddingEngine()
    totals = run_service(log, engine, served(), options(), Stop())
    forecasts, state, dead = expected
    check(log, (forecasts, state, dead), engine, exactly=False)
    assert totals.counts["replayed"] > 0


def test_a_new_group_can_begin_with_the_next_tick(log):
    fill(log)
    totals = run_service(
        log, AddingEngine(), served(), replace(options(), from_latest=True), Stop()
    )  # fmt: skip
    assert totals.counts["ticks"] == 0


def test_a_second_group_on_the_same_states_is_warned(log, caplog):
    fill(log)
    run_service(log, AddingEngine(), served(), options(), Stop())
    assert "needs its own --state topic" not in caplog.text
    other = replace(options(), membership=replace(options().membership, group="another"))
    run_service(log, AddingEngine(), served(), other, Stop())
    assert "needs its own --state topic" in caplog.text


def test_a_position_beyond_the_end_stops_the_service(log):
    fill(log)
    run_service(log, AddingEngine(), served(), options(), Stop())
    with log._file.writing() as connection:
        connection.execute("UPDATE position SET next_offset = 1000")
    with pytest.raises(StreamError, match=r"made anew .* new.*--state topic"):
        run_service(log, AddingEngine(), served(), options(), Stop())


def test_what_was_polled_as_another_partition_is_lost_is_handled_once(log):
    """The poll that tells of the loss also brings a tick of the partition that stays."""
    make_stream_topics(log, TOPICS, "model-control", 2)
    produce(log, 1, [tick("a", 1)])
    poison = (b"poison", b"{not a tick")

    class Losing(Scripted):
        def member(self, membership):
            member = super().member(membership)
            poll, brought = member.end.poll, []

            def polled(timeout_s, limit):
                if brought == [1]:
                    produce(log, 0, [poison])
                    self.listener.lost(ONE)
                    self.listener.assigned(ONE)
                batches = poll(timeout_s, limit)
                brought.extend(batch.partition.number for batch in batches)
                return batches

            member.end.poll = polled
            return member

    changed = options(commit_interval_s=5.0)
    totals = run_service(Losing(log, {}), AddingEngine(), served(), changed, Stop())
    assert read(log, TOPICS.dead) == {0: [poison], 1: []}
    assert totals.counts["restored"] == 3


def test_a_new_group_that_began_with_the_next_tick_loses_none_of_those_after_it(log):
    """Killed before its first commit of forecasts, it goes on where it began."""
    fill(log)
    late = replace(options(), from_latest=True, stop_at_end=False)

    class Dying(AddingEngine):
        def process(self, batch):
            raise Killed

    class Arriving(FaultyLog):
        def member(self, membership):
            member = super().member(membership)
            seek = member.end.seek

            def sought(positions):
                seek(positions)
                produce(log, 0, [tick("new", 7)])

            member.end.seek = sought
            return member

    faulty = Arriving(log, Plan())
    with pytest.raises(Killed):
        run_service(faulty, Dying(), served(), late, Stop())
    faulty.bury()
    totals = run_service(log, AddingEngine(), served(), replace(late, stop_at_end=True), Stop())
    assert totals.counts["ticks"] > 0
