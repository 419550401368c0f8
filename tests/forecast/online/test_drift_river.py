"""River's detectors, one object a stream, as oracles: ours are no slower at no more false alarms."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.online.drift import DETECTORS, DriftBank

drift = pytest.importorskip("river.drift")

STREAMS, CALM, LIMIT = 60, 1000, 1500
pytestmark = pytest.mark.slow


def streams(shift):
    z = np.random.default_rng(5).normal(size=(STREAMS, CALM + LIMIT))
    z[:, CALM:] += shift
    return z


def of_river(make, z):
    """Ticks from the change to the first alarm (`LIMIT` where none), and alarms before it."""
    delays, false = [], 0
    for stream in z:
        detector, delay = make(), LIMIT
        for tick, value in enumerate(stream.tolist()):
            detector.update(value)
            if detector.drift_detected:
                if tick >= CALM:
                    delay = tick - CALM + 1
                    break
                false += 1
                detector = make()
        delays.append(delay)
    return np.array(delays), false


def of_ours(name, arl0, z):
    code = DETECTORS.index(name)
    told = DriftBank(STREAMS, arl0, [name]).step(np.repeat(np.arange(STREAMS), z.shape[1]), z.ravel())
    tick = told.position % z.shape[1]
    assert set(told.detector.tolist()) <= {code}
    delays = np.full(STREAMS, LIMIT)
    for row, late in zip(told.row[::-1], tick[::-1], strict=True):
        if late >= CALM:
            delays[row] = late - CALM + 1
    return delays, int((tick < CALM).sum())


@pytest.mark.parametrize(("shift", "share"), [(0.5, 1.0), (1.0, 1.0), (2.0, 1.0)])
def test_adaptive_is_no_slower_than_adwin_that_looks_at_every_tick(shift, share):
    z = streams(shift)
    theirs, false = of_river(lambda: drift.ADWIN(delta=0.002, clock=1), z)
    # At delta 0.002 ADWIN makes some two false alarms in 600,000 ticks.
    ours, wrong = of_ours("adaptive", 300_000.0, z)
    assert wrong <= false + 2
    assert (ours < LIMIT).all()
    assert ours.mean() <= share * theirs.mean()
    # The same thing is found: both follow the shift, with windows of like length.
    assert ours.mean() > 0.3 * theirs.mean()


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_slow_finds_shifts_as_page_hinkley_does(shift):
    z = streams(shift)
    bank = DriftBank(0, 10_000.0)
    threshold = float(bank.thresholds[DETECTORS.index("slow")])
    theirs, false = of_river(
        lambda: drift.PageHinkley(min_instances=1, delta=0.25, threshold=threshold, alpha=1.0), z
    )
    ours, wrong = of_ours("slow", 10_000.0, z)
    # Page-Hinkley measures from the running mean, not from 0: the same sums but for that.
    assert abs(wrong - false) <= 8
    assert ours.mean() == pytest.approx(theirs.mean(), rel=0.2)
