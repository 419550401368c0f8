"""The disk of an embedded log is full: the service says so, and after that nothing is lost or twice."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipelines.log import open_log
from pipelines.log.protocol import Topic
from pipelines.log.records import Partition, make_block
from tests.chaos.feeding import DT_MS, make_model, messages
from tests.chaos.records import Record
from tests.chaos.verifier import Case, check

pytestmark = pytest.mark.slow

H, LEVELS = 4, [95.0]


def read(file, topic):
    log = open_log(f"embedded:{file}")
    reader = log.reader()
    reader.assign({Partition(topic, 0): None})
    found = []
    while batches := reader.poll(0.05, 1000):
        for batch in batches:
            found += [
                Record(0, int(batch.offsets[i]), batch.key(i), batch.value(i))
                for i in range(len(batch.offsets))
            ]
    reader.close()
    log.close()
    return found


def stream(file, model, kilobytes=None):
    line = (
        f"exec {sys.executable} -c 'from pipelines.cli import main; main()' stream --model {model} "
        f"--log {file} --horizon {H} --level 95 --stop-at-end --partitions 1"
    )
    limit = "" if kilobytes is None else f"ulimit -f {kilobytes}; "
    return subprocess.run(
        ["bash", "-c", limit + line],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
        cwd=file.parent,
    )


def test_a_full_disk_stops_the_service_and_costs_no_forecast(tmp_path):
    model = make_model(tmp_path / "model", 5, 1)
    file, source = tmp_path / "stream.db", messages(5, 1)
    log = open_log(f"embedded:{file}")
    log.make_topics([Topic("ticks", 1)])
    writer = log.writer()
    writer.write(make_block(Partition("ticks", 0), [tuple(next(source)) for _ in range(3000)]))
    writer.close()
    log.close()
    full = stream(file, model, file.stat().st_size // 1024 + 300)
    assert full.returncode == 75, full.stderr[-2000:]
    assert "Traceback" not in full.stderr
    assert "full" in full.stderr or "large" in full.stderr or "I/O" in full.stderr, full.stderr[-2000:]
    done = stream(file, model)
    assert done.returncode == 0, done.stderr[-2000:]
    case = Case("", str(model), H, LEVELS, DT_MS, "ticks", "forecasts", "late", "dead", "state", None)
    topics = ("ticks", "forecasts", "ticks-late", "ticks-dead")
    found = check(case, *(read(file, topic) for topic in topics))
    assert found.faults == {}, found.told
    assert found.counts["ticks"] == 3000
