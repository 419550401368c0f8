"""Regressors under watch."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.models.records import ExogTerm
from forecast.online.drift import InputBank
from pipelines.errors import StreamError
from pipelines.monitor import run_monitor
from pipelines.monitor.inputs import Inputs
from pipelines.stream.stopping import Stop
from tests.pipelines.monitor.feeds import alerts, options, register, shifted


def values(n, seed=0, shift_at=None):
    drawn = np.random.default_rng(seed).normal(size=n)
    if shift_at is not None:
        drawn[shift_at:] += 4.0
    return drawn


def test_every_series_and_regressor_is_a_stream_of_its_own():
    steps, inputs = 700, Inputs(10_000.0)
    exog = np.stack([values(2 * steps, 1), values(2 * steps, 2)], axis=1)
    exog[1::2, 0] = values(steps, 3, shift_at=400)  # the second series, the first regressor
    rows = np.tile([0, 1], steps)
    found = []
    for first in range(0, len(rows), 33):
        part = slice(first, first + 33)
        found += [
            (d.row, d.detector, first + d.position) for d in inputs.take(rows[part], exog[part], ["a", "b"])
        ]
    bank, want = InputBank(1, 10_000.0), set()
    alarms = bank.step(np.zeros(steps, dtype=np.int64), exog[1::2, 0])
    for i, code in zip(alarms.position.tolist(), alarms.detector.tolist(), strict=True):
        want.add((1, f"input-{('psi', 'ks')[code]} a", 2 * i + 1))
    assert set(found) == want
    assert want


def test_names_may_change_and_come_in_another_order():
    inputs, one = Inputs(10_000.0), Inputs(10_000.0)
    rows = np.zeros(500, dtype=np.int64)
    a, b = values(500, 1, shift_at=300), values(500, 2)
    got = inputs.take(rows[:250], np.stack([b, a], axis=1)[:250], ["b", "a"])
    got += inputs.take(rows[250:], a[250:, None], ["a"])
    assert [drift._replace(position=0) for drift in got] == [
        drift._replace(position=0) for drift in one.take(rows, a[:, None], ["a"])
    ]
    assert got


def test_what_is_not_given_moves_nothing():
    inputs = Inputs(10_000.0)
    assert inputs.take(np.zeros(3, dtype=np.int64), np.full((3, 1), np.nan), ["a"]) == []
    assert inputs.take(np.zeros(0, dtype=np.int64), np.empty((0, 1)), ["a"]) == []
    assert inputs.take(np.zeros(3, dtype=np.int64), np.empty((3, 0)), []) == []
    assert inputs.take(np.zeros(1, dtype=np.int64), np.array([[np.inf]]), ["a"]) == []


def test_a_dump_goes_on_alike():
    whole, inputs = Inputs(10_000.0), Inputs(10_000.0)
    rows, exog = np.tile([2, 0], 500), values(1000, shift_at=700)[:, None]
    want = whole.take(rows, exog, ["a"])
    got = inputs.take(rows[:600], exog[:600], ["a"])
    again = Inputs(10_000.0)
    again.load(*inputs.dump())
    later = again.take(rows[600:], exog[600:], ["a"])
    assert got + [drift._replace(position=drift.position + 600) for drift in later] == want
    assert want


def test_a_dump_that_does_not_fit_is_refused():
    inputs = Inputs(10_000.0)
    inputs.take(np.array([0, 1]), np.ones((2, 1)), ["a"])
    names, arrays = inputs.dump()
    for spoilt in (
        ([], arrays),
        (names, {**arrays, "input_slot": np.array([[0], [0]])}),
        (names, {**arrays, "input_slot": np.array([[0], [7]])}),
        (names, {**arrays, "input_slot": np.array([0, 1])}),
    ):
        with pytest.raises(StreamError):
            Inputs(10_000.0).load(*spoilt)


def test_drift_of_a_regressor_is_recorded_and_told_and_refits_nothing(log, store, feed, tmp_path):
    ids = ["s0", "s1"]
    fields = {"beta": [1.0], "exog": (ExogTerm("price"),), "start": 0}
    version = register(store, tmp_path, ids, **fields)
    price = values(700, shift_at=500)
    rows = [
        (name, step, z, {"price": float(price[step] if name == "s1" else price[step % 500])})
        for name, step, z in shifted(ids, 700, shift_at=9999)
    ]
    feed.send(rows[:700], version)
    run_monitor(log, lambda: store, options(arl0=1e5), Stop())
    feed.send(rows[700:], version)
    totals = run_monitor(log, lambda: store, options(arl0=1e5), Stop())
    events = store.events("shop")
    told = {(event.event.series_key, event.event.detector) for event in events}
    assert ("s1", "input-psi price") in told or ("s1", "input-ks price") in told
    assert {event.state for event in events} == {"ignored"}
    assert store.jobs("shop") == []
    assert {alert.dedup_key for alert in alerts(log)} == {event.event.dedup_key for event in events}
    assert all(" " not in detector for detector in totals.events)
