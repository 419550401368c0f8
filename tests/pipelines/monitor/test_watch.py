"""One partition: what counts, what does not, and what a snapshot keeps."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import ArtifactError
from pipelines.errors import StreamError
from pipelines.log.records import Partition, make_batch
from pipelines.monitor.columns import read_forecasts
from pipelines.monitor.packing import pack, unpack
from pipelines.monitor.rows import NEVER
from pipelines.monitor.versions import Catalog, UnknownVersionError
from pipelines.monitor.watch import Watch, _fresh
from pipelines.wire import encode_forecast
from tests.oracles import monitor as oracle
from tests.pipelines.monitor.feeds import HOUR, START, forecast, options, register

TICKS = Partition("ticks", 0)


def read(*messages, bad=None):
    pairs = [(None, each if isinstance(each, bytes) else encode_forecast(each)) for each in messages]
    n = len(pairs)
    batch = make_batch(Partition("forecasts", 0), range(n), [0] * n, pairs, n)
    return read_forecasts(batch, TICKS, Counter() if bad is None else bad)


@pytest.fixture
def catalog(store):
    return Catalog(store, "shop")


@pytest.fixture
def version(store, tmp_path):
    return register(store, tmp_path, ["a", "b"])


@pytest.fixture
def watch(catalog):
    return Watch(options(cooldown_ticks=5), catalog, Counter())


def steady(version, name, first, n, z=3.0, **given):
    return [forecast(name, first + i, z, version, **given) for i in range(n)]


@given(data=st.data())
def test_fresh_innovations_are_those_of_one_at_a_time(data):
    n = data.draw(st.integers(1, 40))
    rows = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    ts = data.draw(st.lists(st.integers(-3, 6), min_size=n, max_size=n))
    last = data.draw(st.lists(st.sampled_from([NEVER, -1, 0, 3]), min_size=4, max_size=4))
    nth, new = _fresh(np.array(rows), np.array(ts), np.array(last))
    want = oracle.fresh(rows, ts, last)
    assert new.tolist() == [flag for _, flag in want]
    assert [k for k, flag in zip(nth.tolist(), new.tolist(), strict=True) if flag] == [
        k for k, flag in want if flag
    ]


def test_columns_hold_what_the_messages_say_and_bad_ones_are_counted(version):
    bad = Counter()
    good = forecast("ä/b", 1, None, version, offset=7)
    other = forecast("b", 2, -0.5, version, offset=9, partition=3)
    found = read(good, b"{}", b"", b"\xff", other, bad=bad)
    assert [bytes(found.text[a:b]).decode() for a, b in zip(found.first, found.last, strict=True)] == [
        "ä/b",
        "b",
    ]
    assert found.source.tolist() == [7, -1]
    assert np.isnan(found.z[0])
    assert found.z[1] == -0.5
    assert bad == {"missing_field": 1, "empty": 1, "malformed": 1}
    assert found.authors == [(version, "AR")]


def test_nothing_at_all_is_taken(watch):
    rows, known, alarms = watch.take(read())
    assert len(rows) == len(known) == 0
    assert alarms == []


def test_a_shift_raises_an_alarm_at_the_tick_that_crossed(watch, version):
    _, _, alarms = watch.take(read(*steady(version, "a", 0, 30)))
    first = alarms[0]
    assert (first.series, first.version, first.model) == ("a", version, "AR")
    assert first.statistic > first.threshold
    one_by_one = Watch(options(cooldown_ticks=5), watch._catalog, Counter())
    again = [a for message in steady(version, "a", 0, 30) for a in one_by_one.take(read(message))[2]]
    assert again == alarms


def test_repeats_count_once_within_a_batch_and_after_it(watch, version):
    messages = steady(version, "a", 0, 3, z=0.1)
    watch.take(read(*messages, *messages, messages[0]))
    watch.take(read(*messages))
    assert watch._counts["counted"] == 3
    assert watch._counts["duplicate"] == 7


def test_imputed_ticks_move_nothing(watch, version):
    watch.take(read(*steady(version, "a", 0, 50, z=None)))
    assert watch._counts == Counter(imputed=50)


def test_after_an_alarm_a_series_is_quiet_for_so_many_of_its_ticks(watch, version):
    _, _, alarms = watch.take(read(*steady(version, "a", 0, 60)))
    steps = [(alarm.ts_ms - START) // HOUR for alarm in alarms]
    assert len(steps) > 1
    assert min(b - a for a, b in itertools.pairwise(steps)) > 5
    assert watch._counts["alarms"] == watch._counts["cooled"] + len(alarms)


def test_a_series_that_goes_on_alarming_is_told_of_less_and_less(watch, version):
    _, _, alarms = watch.take(read(*steady(version, "a", 0, 2000)))
    steps = [(alarm.ts_ms - START) // HOUR for alarm in alarms]
    gaps = [b - a for a, b in itertools.pairwise(steps)]
    cooldown = watch._options.cooldown_ticks
    assert len(gaps) > 6
    for k, gap in enumerate(gaps):
        assert gap > cooldown * min(2**k, 32)
    late = 2 * cooldown * 32
    assert max(gaps) < late  # and never more than so much less


def test_a_new_model_halves_the_cool_down_and_the_quiet(store, catalog, tmp_path, watch, version):
    _, _, alarms = watch.take(read(*steady(version, "a", 0, 500)))
    weight, seen = int(watch.rows.weight[0]), int(watch.rows.seen[0])
    assert weight == min(2 ** len(alarms), 32) >= 8
    watch.rows.quiet[0] = seen + 1_000_000
    child = register(store, tmp_path, ["a"], parent=version, const=1.0)
    watch.take(read(*steady(child, "a", 500, 1)))
    assert watch.rows.weight[0] == weight // 2
    assert watch.rows.quiet[0] == seen + watch._options.cooldown_ticks * weight // 2
    other = register(store, tmp_path, ["a"], const=2.0)
    for k in range(8):
        watch.take(read(*steady((version, child, other)[k % 3], "a", 510 + k, 1, z=0.0)))
    assert watch.rows.weight[0] == 1  # of none less than one


def test_a_calm_as_long_as_the_longest_quiet_halves_the_cool_down(watch, version):
    watch.take(read(*steady(version, "a", 0, 500)))
    weight, longest = int(watch.rows.weight[0]), 32 * watch._options.cooldown_ticks
    assert weight >= 4
    watch.rows.seen[0] += 2 * longest  # ticks without an alarm
    _, _, alarms = watch.take(read(*steady(version, "a", 500, 8)))
    assert len(alarms) == 1
    assert watch.rows.weight[0] == weight // 4 * 2


def test_z_is_divided_by_the_out_of_sample_scale(store, catalog, tmp_path):
    version = register(store, tmp_path, ["a", "b", "c", "d"], oos_scale=np.array([np.nan, 10.0, 0.0, 1.0]))
    watch = Watch(options(), catalog, Counter())
    _, _, alarms = watch.take(read(*(m for name in "abcd" for m in steady(version, name, 0, 40))))
    assert {alarm.series for alarm in alarms} == {"a", "c", "d"}


def test_a_series_without_a_model_is_not_watched(watch, version):
    _, known, alarms = watch.take(
        read(*steady(version, "z", 0, 40), *steady(version, "a", 0, 1, model="Naive"))
    )
    assert not known.any()
    assert alarms == []
    assert watch._counts["stranger"] == 41


def test_an_unknown_version_takes_nothing(watch, version):
    with pytest.raises(UnknownVersionError, match="not registered for fleet 'shop'"):
        watch.take(read(*steady(version, "a", 0, 3), forecast("a", 4, 0.0, "f" * 64)))
    assert len(watch.rows) == 0
    assert watch.messages == 0


def test_an_overlay_restarts_its_own_series_only(store, catalog, tmp_path, watch, version):
    child = register(store, tmp_path, ["b"], parent=version, const=1.0)
    watch.take(read(*(m for name in "ab" for m in steady(version, name, 0, 3))))
    _, _, alarms = watch.take(
        read(*(m for i in range(3, 20) for m in steady(child, "a", i, 1) + steady(child, "b", i, 1)))
    )
    first = {alarm.series: alarm.ts_ms for alarm in reversed(alarms)}
    assert first["b"] - first["a"] == 3 * HOUR
    assert {alarm.version for alarm in alarms} == {child}
    assert watch._counts["restarted"] == 1


def test_an_overlay_of_an_overlay_and_one_skipped_restart_what_differs(
    store, catalog, tmp_path, watch, version
):
    first = register(store, tmp_path, ["b"], parent=version, const=1.0)
    second = register(store, tmp_path, ["b"], parent=first, const=2.0)
    origins = [catalog.lineage((v, "AR")).origin.tolist() for v in (version, first, second)]
    assert len({row[0] for row in origins}) == 1
    assert len({row[1] for row in origins}) == 3
    watch.take(read(*(m for name in "ab" for m in steady(version, name, 0, 2, z=0.1))))
    watch.take(read(*(m for name in "ab" for m in steady(second, name, 2, 2, z=0.1))))
    watch.take(read(*(m for name in "ab" for m in steady(version, name, 4, 2, z=0.1))))
    assert watch._counts["restarted"] == 2  # to the overlay, and back


def test_a_whole_version_restarts_all(store, tmp_path, watch, version):
    other = register(store, tmp_path, ["a", "b"], const=3.0)
    watch.take(read(*(m for name in "ab" for m in steady(version, name, 0, 2))))
    watch.take(read(*(m for name in "ab" for m in steady(other, name, 2, 2))))
    assert watch._counts["restarted"] == 2


def test_ticks_done_again_by_a_new_version_count_for_its_series_once(store, tmp_path, watch, version):
    child = register(store, tmp_path, ["b"], parent=version, const=1.0)
    watch.take(read(*(m for name in "ab" for m in steady(version, name, 0, 4, z=0.1))))
    watch.take(read(*(m for name in "ab" for m in steady(child, name, 2, 2, z=0.1))))
    assert watch._counts["counted"] == 8 + 2
    assert watch._counts["duplicate"] == 2


def test_two_versions_in_one_batch_are_taken_in_their_order(store, tmp_path, watch, version):
    other = register(store, tmp_path, ["a", "b"], const=3.0)
    _, _, alarms = watch.take(read(*steady(version, "a", 0, 4), *steady(other, "a", 4, 30)))
    assert alarms[0].version == other


def test_a_snapshot_goes_on_as_if_nothing_had_happened(watch, catalog, version, store, tmp_path):
    messages = [m for i in range(40) for m in steady(version, "a", i, 1) + steady(version, "x", i, 1, z=0.2)]
    _, _, want = Watch(options(cooldown_ticks=5), catalog, Counter()).take(read(*messages))
    got = []
    for first in range(0, 80, 7):
        got += watch.take(read(*messages[first : first + 7]))[2]
        head, arrays = unpack(pack(*watch.dump()))
        fresh = Catalog(store, "shop")
        fresh.origin(("other", "numbers"))  # of this process: a snapshot names versions
        watch = Watch(options(cooldown_ticks=5), fresh, Counter())
        watch.load(head, arrays)
    assert got == want
    assert len(want) > 1


@pytest.mark.parametrize("spoil", ["cut", "flip", "magic", "long"])
def test_a_snapshot_that_is_damaged_is_refused(watch, spoil, version):
    watch.take(read(*steady(version, "a", 0, 3)))
    data = bytearray(pack(*watch.dump()))
    if spoil == "cut":
        data = data[:-5]
    elif spoil == "flip":
        data[len(data) // 2] ^= 1
    elif spoil == "magic":
        data[0] ^= 1
    else:
        data += b"x"
    with pytest.raises(StreamError):
        unpack(bytes(data))


def test_no_bytes_are_no_snapshot():
    with pytest.raises(StreamError):
        unpack(b"")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("origin", np.array([9])),
        ("ends", np.array([0, 5])),
        ("seen", np.zeros(3)),
        ("bank", np.zeros(3, np.uint8)),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_change_nothing(watch, version, name, value):
    watch.take(read(*steady(version, "a", 0, 3)))
    head, arrays = watch.dump()
    before = watch.rows
    with pytest.raises((StreamError, ArtifactError)):
        watch.load(head, {**arrays, name: value})
    assert watch.rows is before


def test_the_id_of_a_damaged_folder_is_told(store, catalog, tmp_path, watch, version):
    folder = store.version("shop", version).artifact_uri
    (chunk,) = (tmp_path / folder / "chunks").glob("*.npz")
    chunk.write_bytes(b"x")
    with pytest.raises(UnknownVersionError, match="cannot be read"):
        watch.take(read(*steady(version, "a", 0, 1)))


def test_a_cyclic_or_missing_line_of_parents_is_told(catalog, watch, monkeypatch, store, version):
    from dataclasses import replace

    row = store.version("shop", version)
    monkeypatch.setattr(store, "versions", lambda fleet: [replace(row, parent_version="e" * 64)])
    with pytest.raises(UnknownVersionError, match="an ancestor of"):
        watch.take(read(*steady(version, "a", 0, 1)))
    monkeypatch.setattr(store, "versions", lambda fleet: [replace(row, parent_version=version)])
    with pytest.raises(UnknownVersionError):
        watch.take(read(*steady(version, "a", 0, 1)))


def test_an_overlay_may_bring_new_series(store, catalog, tmp_path, version):
    child = register(store, tmp_path, ["c", "a"], parent=version, oos_scale=np.array([3.0, 2.0]))
    lineage = catalog.lineage((child, "AR"))
    text = np.frombuffer(b"abc", dtype=np.uint8)
    at = lineage.keys.find(text, np.arange(3), np.arange(1, 4))
    assert lineage.scale[at].tolist() == [2.0, 1.0, 3.0]
    origin = lineage.origin[at]
    assert origin[0] == origin[2] != origin[1]


@pytest.mark.filterwarnings("error")
def test_a_scale_next_to_nothing_makes_z_large_and_no_more(store, tmp_path):
    version = register(store, tmp_path, ["a"], oos_scale=1e-300)
    watch = Watch(options(), Catalog(store, "shop"), counts := Counter())
    watch.take(read(forecast("a", 0, 1e30, version), forecast("a", 1, -1e30, version)))
    assert counts["counted"] == 2
