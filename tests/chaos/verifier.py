"""Was every tick forecast once, and right? An independent reader: nothing of `pipelines` is imported.

``python -m tests.chaos.verifier CASE.json`` prints what was found as JSON and exits 1 unless all is as it
must be.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import forecast as fc
from tests.chaos.expectation import Kind, Outcome, Place, outcomes, sort_out
from tests.chaos.records import Record, read_topic
from tests.chaos.states import compare_states

# Relative, before rounding: other summation orders than the library's.
_TOLERANCE = 1e-9
_DIGITS = 7
# Faults of one kind that are told in full.
_TOLD = 5


@dataclass(frozen=True, slots=True)
class Case:
    """What to check, and where."""

    bootstrap: str
    model: str
    horizon: int
    levels: list[float]
    dt_ms: int
    ticks: str
    forecasts: str
    late: str
    dead: str
    state: str
    clean_state: str | None
    """State topic of one uninterrupted run over the same ticks."""


@dataclass(slots=True)
class Findings:
    """Counts, and faults in words."""

    counts: dict[str, int] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    worst: float = 0.0
    """Largest error of a number beyond its rounding, relative."""

    def fault(self, kind: str, detail: str) -> None:
        """Count a fault."""
        self.faults[kind] += 1
        if self.faults[kind] <= _TOLD:
            self.told.append(f"{kind}: {detail}")


def verify(case: Case) -> Findings:
    """Read the topics of a case, and check them."""
    ticks = read_topic(case.bootstrap, case.ticks)
    forecasts = read_topic(case.bootstrap, case.forecasts)
    late, dead = read_topic(case.bootstrap, case.late), read_topic(case.bootstrap, case.dead)
    findings = check(case, ticks, forecasts, late, dead)
    if case.clean_state is not None:
        mine, clean = read_topic(case.bootstrap, case.state), read_topic(case.bootstrap, case.clean_state)
        compared = compare_states(mine, clean)
        findings.counts |= {"states": compared.keys, "states_not_equal_bytes": compared.other_bytes}
        for fault in compared.faults:
            findings.fault("state", fault)
    return findings


def check(
    case: Case, ticks: list[Record], forecasts: list[Record], late: list[Record], dead: list[Record]
) -> Findings:
    """Compare what was published with what the ticks say."""
    fitted = fc.load(case.model)
    kinds, forecast_ticks = sort_out(fitted, ticks, case.dt_ms)
    expected = outcomes(Path(case.model), fitted, forecast_ticks, case.horizon, case.levels, case.dt_ms)
    findings = Findings()
    counted = Counter(kinds.values())
    findings.counts = {
        "ticks": len(ticks), "forecasts": len(forecasts),
        **{f"ticks_{kind.value}": counted[kind] for kind in Kind},
    }  # fmt: skip
    _check_forecasts(case, kinds, expected, forecasts, findings)
    for kind, found in ((Kind.LATE, late), (Kind.DEAD, dead)):
        _check_aside(kind, kinds, ticks, found, findings)
    return findings


def _check_forecasts(
    case: Case,
    kinds: dict[Place, Kind],
    expected: dict[Place, Outcome],
    found: list[Record],
    findings: Findings,
) -> None:
    seen: Counter[Place] = Counter()
    for record in found:
        message = json.loads(record.value or b"null")
        source = message["source"]
        place = (source["partition"], source["offset"])
        seen[place] += 1
        if seen[place] > 1:
            findings.fault("twice", f"the tick {place} has {seen[place]} forecasts")
        elif place not in expected:
            findings.fault("unasked", f"the tick {place} ({kinds.get(place)}) has a forecast")
        elif source["topic"] != case.ticks or record.partition != place[0]:
            findings.fault("misplaced", f"the forecast of {place} is in partition {record.partition}")
        else:
            _check_message(case, expected[place], record, message, findings)
    for place in expected.keys() - seen.keys():
        findings.fault("lost", f"the tick {place} has no forecast")


def _check_message(
    case: Case, want: Outcome, record: Record, message: dict[str, Any], findings: Findings
) -> None:
    tick = want.tick
    told = f"{tick.series} at {tick.place}"
    facts = {
        "series_id": tick.series, "ts_ms": tick.ts_ms, "dt_ms": case.dt_ms, "level": case.levels,
        "imputed": tick.imputed, "v": 1,
    }  # fmt: skip
    for name, value in facts.items():
        if message[name] != value:
            findings.fault(name, f"{told}: {message[name]!r}, must be {value!r}")
    if record.key != tick.series.encode():
        findings.fault("key", f"{told}: {record.key!r}")
    if (message["z"] is None) != bool(np.isnan(tick.value)):
        findings.fault("z", f"{told}: {message['z']!r} for the value {tick.value!r}")
    elif message["z"] is not None:
        # An innovation is a difference: its error is that of the level, over a deviation of about one.
        _check_numbers("z", told, np.array([message["z"]]), np.array([want.z]), 1.0, findings)
    for name in ("mean", "lo", "hi"):
        got, need = np.array(message[name], dtype=np.float64), getattr(want, name)
        if got.shape != need.shape:
            findings.fault(name, f"{told}: shape {got.shape}, must be {need.shape}")
            continue
        _check_numbers(name, told, got, need, 0.0, findings)


def _check_numbers(
    name: str,
    told: str,
    got: np.ndarray[Any, Any],
    need: np.ndarray[Any, Any],
    scale: float,
    findings: Findings,
) -> None:
    """A number must be what some value within the tolerance of the library's is, rounded to its digits.

    Rounding keeps order, so this is: between the roundings of both ends. Half a unit of the last digit,
    of a number that has no more digits than that, says the same.
    """
    size = np.maximum(np.abs(need), np.finfo(float).tiny)
    half = 0.5 * 10.0 ** (np.floor(np.log10(size)) - (_DIGITS - 1))
    beyond = np.abs(got - need) - half * (1 + 1e-9)
    error = float((beyond / np.maximum(size, scale)).max())
    findings.worst = max(findings.worst, error)
    if error > _TOLERANCE:
        at = int(np.argmax(beyond))
        findings.fault(name, f"{told}: {got.ravel()[at]!r}, the library has {need.ravel()[at]!r}")


def _check_aside(
    kind: Kind, kinds: dict[Place, Kind], ticks: list[Record], found: list[Record], findings: Findings
) -> None:
    """Late and dead ticks must lie in their topics, each once, in the partition they came from."""
    want = Counter(
        (one.partition, one.key, one.value) for one in ticks if kinds[(one.partition, one.offset)] is kind
    )
    have = Counter((one.partition, one.key, one.value) for one in found)
    for one in (want - have).elements():
        findings.fault(f"{kind.value}_lost", repr(one))
    for one in (have - want).elements():
        findings.fault(f"{kind.value}_too_many", repr(one))


def main() -> int:
    case = Case(**json.loads(Path(sys.argv[1]).read_text()))
    findings = verify(case)
    foreign = sorted(name for name in sys.modules if name.partition(".")[0] == "pipelines")
    if foreign:
        findings.fault("not_independent", ", ".join(foreign))
    json.dump(asdict(findings), sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 1 if findings.faults else 0


if __name__ == "__main__":
    sys.exit(main())
