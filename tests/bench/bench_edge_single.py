"""One series in a file: ``python -m tests.bench.bench_edge_single [--ticks N] [--json PATH]``.

Bytes of the file, and microseconds of a call with bound inputs and outputs, one thread: the median over
blocks of calls, CPU time, which other work on the machine changes least. A Kalman tick gives the new state,
mean and variance of 24 steps; statsmodels' `append` of one value and `get_forecast` of as many is measured
in the same run. Parity is with the library in float64: of the closed form at once, of the step over ticks of
which 10 % are missing, each from the state that the last one left.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
from onnxruntime import OrtValue

from edge.check import parity
from edge.fleet import Fleet
from forecast.models.records import ExogTerm, Form
from tests.bench.edge_peer import Peer
from tests.bench.measure import arguments, conclude, one_core, show
from tests.edge.artifacts import (
    ar,
    closed_graph,
    closed_inputs,
    difference,
    sarima_records,
    step_graph,
    step_inputs,
)
from tests.edge.worlds import closed_answer, step_answers, world
from tests.services.edge.graph_runner import TICKS, open_session, run_graph

H, NAMES = 24, ("price", "temp")
CALLS, BLOCKS, PEER_ROUNDS = 500, 9, 5
# A year of hours; a shorter history is shown beside it.
PEER_HISTORY = 8_760
CLOSED_BYTES, CLOSED_US = 2_600, 10.0
STEP_BYTES, STEP_BYTES_AIM, STEP_US, STEP_RATIO = 25_000, 4_000, 100.0, 300.0
CLOSED_PARITY, STEP_PARITY = 1e-6, 1e-12
PACKAGES = ("numpy", "onnxruntime", "onnx", "statsmodels")


def arimax():
    """ARIMA(2,1,1) with two regressors, as statsmodels has it."""
    terms = (ExogTerm("price"), ExogTerm("temp"))
    return ar(2, 2, d=1, theta=[0.4], beta=[0.5, -0.8], exog=terms, form=Form.REGRESSION, const=0.0)


CASES = {
    "AR(4)": lambda: ar(1, 4),
    "AR(24)": lambda: ar(1, 24),
    "ARIMA(2,1,1), 2 regressors": arimax,
    "SARIMA(1,1,1)(0,1,1)12": sarima_records,
}


class Bound:
    """A session with its inputs and outputs bound to buffers of its own."""

    def __init__(self, graph, feed):
        self.session = open_session(graph)
        self.binding = self.session.io_binding()
        self.kept = [np.ascontiguousarray(value) for value in feed.values()]
        for name, value in zip(feed, self.kept, strict=True):
            self.binding.bind_cpu_input(name, value)
        names = [output.name for output in self.session.get_outputs()]
        for name, value in zip(names, self.session.run(names, feed), strict=True):
            self.binding.bind_ortvalue_output(name, OrtValue.ortvalue_from_numpy(value))

    def block_us(self):
        """Microseconds of a call, over a block of them."""
        run, binding = self.session.run_with_iobinding, self.binding
        begin = time.thread_time()
        for _ in range(CALLS):
            run(binding)
        return (time.thread_time() - begin) / CALLS * 1e6


def first_tick(feed):
    return {
        key.removeprefix(TICKS): value[0] if key.startswith(TICKS) else value for key, value in feed.items()
    }


def line(what, value, unit, floor, *, at_least=False, **more):
    found = {"what": what, "value": value, "unit": unit, "floor": floor, **more}
    if floor is not None:
        found["passed"] = bool(value >= floor if at_least else value <= floor)
    return found


def peer(records, known):
    """Return statsmodels with so many values, which it filters again at every `append`."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(known + PEER_ROUNDS + H, len(records.exog))) if records.exog else None
    return Peer(records, rng.normal(size=known + PEER_ROUNDS), x, H, PEER_ROUNDS)


def closed_lines():
    made = world(ar(1, 24), ())
    fleet = Fleet.of(made.records)
    graph = closed_graph(fleet, levels=())
    feed = closed_inputs(graph, made, fleet, np.zeros(1, np.int64))
    bound, answer = Bound(graph, feed), closed_answer(made)
    took = statistics.median(bound.block_us() for _ in range(BLOCKS))
    error = max(parity(graph, feed, {name: answer[name] for name in ("mean", "variance")}).values())
    return [
        line(f"closed AR(24), {H} steps: file", len(graph), "bytes", CLOSED_BYTES),
        line("closed: a call, bound", took, "us", CLOSED_US),
        line("closed: parity with the library", error, "rel.", CLOSED_PARITY),
    ]


def step_lines(name, records, ticks):
    made = world(records, NAMES, ticks=ticks)
    fleet = Fleet.of(made.records)
    graph = step_graph(fleet, levels=())
    feed = step_inputs(graph, made, fleet)
    found, answers = run_graph(graph, feed), step_answers(made)
    error = max(difference(found[key], answers[key]) for key in ("mean", "variance"))
    bound = Bound(graph, first_tick(feed))
    ours = [bound.block_us() for _ in range(BLOCKS)]
    slow = {n: statistics.median(peer(records, n).tick_seconds()) * 1e6 for n in (made.origin, PEER_HISTORY)}
    ours += [bound.block_us() for _ in range(BLOCKS)]
    took = statistics.median(ours)
    return [
        line(f"step {name}: file", len(graph), "bytes", STEP_BYTES, aim=STEP_BYTES_AIM),
        line(f"step {name}: a tick, {H} steps, variances", took, "us", STEP_US),
        *(
            line(
                f"step {name}: statsmodels append+forecast, {n} values known, / tick", peer_us / took, "x",
                STEP_RATIO if n == PEER_HISTORY else None, at_least=True, peer_us=peer_us,
            )
            for n, peer_us in slow.items()
        ),
        line(f"step {name}: parity over {ticks} ticks", error, "rel.", STEP_PARITY),
    ]  # fmt: skip


def main():
    one_core()
    args = arguments(__doc__, ticks=200)
    lines = closed_lines()
    for name, make in CASES.items():
        lines += step_lines(name, make(), args.ticks)
    columns = [
        ("what", "", ""),
        ("value", "value", ".4g"),
        ("unit", "", ""),
        ("floor", "floor", "g"),
        ("aim", "aim", "g"),
    ]
    show(lines, columns, f"one series a file; one core, medians of {BLOCKS} blocks of {CALLS} calls")
    return conclude(
        "edge_single", args, lines, PACKAGES, ticks=args.ticks, horizon=H, calls=CALLS, blocks=BLOCKS
    )


if __name__ == "__main__":
    sys.exit(main())
