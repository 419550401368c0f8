"""The verifier finds what it is there to find."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.chaos.expectation import Kind, outcomes, sort_out
from tests.chaos.feeding import DT_MS, Shares, make_model, messages
from tests.chaos.records import Record
from tests.chaos.states import compare_states
from tests.chaos.verifier import Case, check

H, LEVELS = 4, [80.0, 95.0]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Ticks of a small fleet, and forecasts as they must be."""
    import forecast as fc

    folder = make_model(tmp_path_factory.mktemp("chaos") / "model", 3, 1)
    source = messages(3, 1, Shares(0.1, 0.1, 0.1, 0.1, 0.1))
    ticks = [Record(0, i, *next(source)) for i in range(60)]
    fitted = fc.load(folder)
    kinds, forecast_ticks = sort_out(fitted, ticks, DT_MS)
    found = outcomes(folder, fitted, forecast_ticks, H, LEVELS, DT_MS)
    forecasts = [message(one, i) for i, one in enumerate(found.values())]
    aside = {
        kind: [Record(0, i, t.key, t.value) for i, t in enumerate(ticks) if kinds[(0, t.offset)] is kind]
        for kind in (Kind.LATE, Kind.DEAD)
    }
    case = Case("", str(folder), H, LEVELS, DT_MS, "ticks", "forecasts", "late", "dead", "state", None)
    return case, ticks, forecasts, aside, kinds


def rounded(values):
    return [float(f"{value:.7g}") for value in values]


def message(outcome, offset):
    tick = outcome.tick
    made = {
        "series_id": tick.series, "ts_ms": tick.ts_ms, "model": "AR", "version": "v", "dt_ms": DT_MS,
        "mean": rounded(outcome.mean), "level": LEVELS, "lo": [rounded(row) for row in outcome.lo],
        "hi": [rounded(row) for row in outcome.hi],
        "z": None if np.isnan(outcome.z) else float(f"{outcome.z:.7g}"), "imputed": tick.imputed,
        "source": {"topic": "ticks", "partition": tick.place[0], "offset": tick.place[1]}, "v": 1,
    }  # fmt: skip
    return Record(0, offset, tick.series.encode(), json.dumps(made).encode())


def faults(world, forecasts=None, late=None, dead=None):
    case, ticks, right, aside, _ = world
    found = check(
        case, ticks, right if forecasts is None else forecasts,
        aside[Kind.LATE] if late is None else late, aside[Kind.DEAD] if dead is None else dead,
    )  # fmt: skip
    return dict(found.faults), found


def changed(record, **values):
    content = json.loads(record.value) | values
    return Record(record.partition, record.offset, record.key, json.dumps(content).encode())


def test_what_is_right_has_no_fault_and_every_kind_of_tick_is_there(world):
    found, all_of_it = faults(world)
    assert found == {}
    assert set(world[4].values()) == set(Kind)
    assert all_of_it.counts["ticks"] == 60
    assert all_of_it.worst < 1e-9


def test_a_lost_a_second_and_an_unasked_forecast_are_found(world):
    _, _, right, _, kinds = world
    assert faults(world, right[1:])[0] == {"lost": 1}
    assert faults(world, [*right, right[0]])[0] == {"twice": 1}
    repeat = next(place for place, kind in kinds.items() if kind is Kind.DUPLICATE)
    source = {"topic": "ticks", "partition": repeat[0], "offset": repeat[1]}
    assert faults(world, [*right, changed(right[0], source=source)])[0] == {"unasked": 1}


@pytest.mark.parametrize("name", ["mean", "z"])
def test_a_number_beyond_its_rounding_is_found(world, name):
    right = copy.copy(world[2])
    content = json.loads(right[0].value)
    value = content[name][1] if name == "mean" else content[name]
    near = value * (1 + 1e-6)
    content[name] = [content["mean"][0], near, *content["mean"][2:]] if name == "mean" else near
    right[0] = changed(right[0], **content)
    assert faults(world, right)[0] == {name: 1}


def test_other_facts_of_a_message_are_checked(world):
    right = world[2]
    for name, value in (("imputed", 7), ("ts_ms", 1), ("level", [80.0]), ("z", None)):
        observed = next(i for i, one in enumerate(right) if json.loads(one.value)["z"] is not None)
        wrong = [*right]
        wrong[observed] = changed(right[observed], **{name: value})
        assert faults(world, wrong)[0] == {name: 1}
    moved = [Record(1, 0, right[0].key, right[0].value), *right[1:]]
    assert faults(world, moved)[0] == {"misplaced": 1}


def test_late_and_dead_ticks_must_be_there_once(world):
    late = world[3][Kind.LATE]
    assert faults(world, late=late[1:])[0] == {"late_lost": 1}
    assert faults(world, dead=[*world[3][Kind.DEAD], late[0]])[0] == {"dead_too_many": 1}


def test_states_are_compared_by_the_last_of_a_key():
    a, b = (np.array([1.0, 2.0, x]).tobytes() for x in (3.0, 3.0 + 1e-12))
    far = np.array([1.0, 2.0, 3.1]).tobytes()
    mine = [Record(0, 0, b"k", far), Record(0, 1, b"k", a)]
    assert compare_states(mine, [Record(0, 0, b"k", a)]).faults == []
    near = compare_states(mine, [Record(0, 0, b"k", b)])
    assert (near.faults, near.other_bytes) == ([], 1)
    assert len(compare_states(mine, [Record(0, 0, b"k", far)]).faults) == 1
    assert len(compare_states(mine, [Record(0, 0, b"k", a), Record(0, 1, b"l", a)]).faults) == 1
    count = [np.array([n], np.int64).tobytes() for n in (7, 8)]
    assert len(compare_states([Record(0, 0, b"k", count[0])], [Record(0, 0, b"k", count[1])]).faults) == 1


@pytest.mark.slow
def test_the_verifier_needs_nothing_of_the_service():
    code = (
        "import sys, tests.chaos.verifier;"
        "print([m for m in sys.modules if m.partition('.')[0] in ('pipelines', 'msgspec')])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
