"""`python -m tests.chaos`: workers killed at random, every forecast checked (`make chaos`)."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.chaos.rig import Setup
from tests.chaos.rounds import Chaos, Plan
from tests.services.kafka.cluster import kafka
from tests.services.kafka.jars import missing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    standard = Plan()
    parser.add_argument("--rounds", type=int, default=standard.rounds, help="kills")
    parser.add_argument("--minutes", type=float, default=standard.minutes, help="time for everything")
    parser.add_argument("--seed", type=int, default=standard.setup.seed)
    parser.add_argument("--rate", type=float, default=standard.setup.rate, help="ticks a second")
    parser.add_argument("--series", type=int, default=standard.setup.n_series)
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--keep", type=Path, help="folder for logs and topics, which is not deleted")
    asked = parser.parse_args()
    if reason := missing():
        print(f"chaos: {reason}", file=sys.stderr)
        return 1
    setup = Setup(seed=asked.seed, n_series=asked.series, rate=asked.rate)
    plan = Plan(asked.rounds, asked.minutes, setup=setup)
    with contextlib.ExitStack() as open_:
        folder = asked.keep or Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        folder.mkdir(parents=True, exist_ok=True)
        cluster = open_.enter_context(kafka(folder / "kafka"))
        result = Chaos(cluster.bootstrap, folder, plan, lambda line: print(line, flush=True)).run()
    print(result.summary())
    if asked.json is not None:
        asked.json.write_text(json.dumps(asdict(result), indent=2))
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
