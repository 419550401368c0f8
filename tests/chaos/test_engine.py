"""The engine alone, judged by the verifier of the chaos rounds: it shares nothing with it but the library."""

import numpy as np
import pytest

import forecast as fc
from pipelines.log.records import Partition, make_batch
from pipelines.stream.engine import Engine
from pipelines.stream.options import StreamOptions
from pipelines.stream.served import serve
from pipelines.stream.topics import Topics
from tests.chaos.expectation import Kind
from tests.chaos.feeding import DT_MS, Shares, make_model, messages
from tests.chaos.records import Record
from tests.chaos.states import compare_states
from tests.chaos.verifier import Case, check

pytestmark = pytest.mark.slow

H, LEVELS, TICKS = 6, (80.0, 95.0), 1500


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = make_model(tmp_path_factory.mktemp("chaos") / "model", 7, 1)
    source = messages(7, 1, Shares(0.05, 0.05, 0.05, 0.03, 0.02))
    ticks = [Record(0, i, *next(source)) for i in range(TICKS)]
    return folder, ticks


def engine(folder):
    fitted = fc.load(folder)
    made = Engine(
        serve(fitted.records[0], alias="AR", version="v"), StreamOptions(horizon=H, levels=LEVELS), Topics()
    )
    made.open(0)
    return made


def run(made, ticks, size, out):
    for first in range(0, len(ticks), size):
        part = ticks[first : first + size]
        offsets = [one.offset for one in part]
        pairs = [(one.key, one.value) for one in part]
        batch = make_batch(Partition("ticks", 0), offsets, offsets, pairs, offsets[-1] + 1)
        for block in made.process(batch).blocks:
            found = out.setdefault(block.partition.topic, [])
            found.extend(
                Record(0, len(found) + i, block.key(i), block.value(i)) for i in range(len(block.keys))
            )


@pytest.mark.parametrize("size", [1, 64, TICKS])
def test_every_forecast_is_the_librarys(world, size):
    folder, ticks = world
    out = {}
    run(engine(folder), ticks, size, out)
    case = Case("", str(folder), H, list(LEVELS), DT_MS, "ticks", "forecasts", "late", "dead", "state", None)
    found = check(case, ticks, out["forecasts"], out["ticks-late"], out["ticks-dead"])
    assert found.faults == {}, found.told
    assert all(found.counts[f"ticks_{kind.value}"] for kind in Kind)


def test_a_restored_engine_goes_on_to_the_same_state_byte_for_byte(world):
    folder, ticks = world
    whole, before, after = {}, {}, {}
    run(engine(folder), ticks, 100, whole)
    run(engine(folder), ticks[:700], 100, before)
    again = engine(folder)
    states = before["forecasts-state"]
    pairs = [(one.key, one.value) for one in states]
    numbers = np.arange(len(states))
    again.restore(0, make_batch(Partition("forecasts-state", 0), numbers, numbers, pairs, len(states)))
    run(again, ticks[700:], 100, after)
    compared = compare_states([*states, *after["forecasts-state"]], whole["forecasts-state"])
    assert (compared.faults, compared.other_bytes, compared.keys) == ([], 0, 7)
    assert (
        before["forecasts"]
        + [Record(0, one.offset + len(before["forecasts"]), one.key, one.value) for one in after["forecasts"]]
        == (whole["forecasts"])
    )
