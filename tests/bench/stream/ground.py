"""Where the stream is measured: one real broker, a model, topics, and meters."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from pipelines.log import open_log
from pipelines.log.protocol import Topic
from pipelines.log.records import Partition
from tests.bench.stream.fleet import make_model
from tests.services.kafka.cluster import kafka

ROOT = Path(__file__).parents[3]
PARTITIONS = 4
SAMPLE_S = 0.2
# A start loads a model of a hundred thousand series and, the first time, compiles.
STARTS_WITHIN_S = 300.0


class Ground:
    """A broker and what is beside it; one for all measurements of a run."""

    def __init__(self, folder, n_series):
        self.folder, self.n_series = folder, n_series
        self.numbers = itertools.count()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.cluster = stack.enter_context(kafka(self.folder / "kafka"))
            self.broker = psutil.Process(self.cluster.brokers[0].process.pid)
            self.model = self.folder / "model"
            make_model(self.model, self.n_series)
            self.log = open_log(self.cluster.bootstrap, client="confluent")
            self.reader = stack.enter_context(contextlib.closing(self.log.reader()))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def topic(self, what):
        """Make a topic of this run, and return its name."""
        name = f"{what}-{next(self.numbers)}"
        self.log.make_topics([Topic(name, PARTITIONS)])
        return name

    def written(self, topic):
        """Records in a topic, markers of transactions included."""
        return sum(self.reader.ends([Partition(topic, i) for i in range(PARTITIONS)]).values())

    def kept_bytes(self, topic):
        """Bytes of a topic on the broker's disk, with those of batches and markers."""
        data = self.cluster.brokers[0].folder / "data"
        return sum(file.stat().st_size for file in data.glob(f"{topic}-[0-9]*/*.log"))


@contextlib.contextmanager
def ground(n_series):
    made = tempfile.TemporaryDirectory(prefix="bench-stream-")
    with made as folder, Ground(Path(folder), n_series) as place:
        yield place


def cpu_s(process):
    """CPU seconds of a process and its children."""
    times = process.cpu_times()
    total = times.user + times.system
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(child.cpu_times()[:2])
    return total


def python(module, *arguments, interpreter=sys.executable, log=None):
    """Start a module of this repository in a process of its own."""
    return start([interpreter, "-m", module, *arguments], log)


def start(command, log=None):
    """Start a program; `log` names a file for what it says."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    words = list(map(str, command))
    if log is None:
        return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    with log.open("wb") as file:
        process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=file, stderr=file)
    process.log = log
    return process


def check(process, ended=False):
    """RuntimeError, with its last words, when a process has ended that should not have, or not well."""
    code = process.poll()
    if code is None or (ended and code == 0):
        return
    log = getattr(process, "log", None)
    words = log.read_text()[-2000:] if log else ""
    raise RuntimeError(f"ended with {code}: {' '.join(process.args)}\n{words}")


def end(process, within_s=30.0):
    """Ask a process to end, and see to it."""
    process.terminate()
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(true, process, within_s, what):
    """Wait while a process works; RuntimeError when it ends or the time is over."""
    ends = time.monotonic() + within_s
    while not true():
        check(process)
        if time.monotonic() > ends:
            raise RuntimeError(f"{what}: not within {within_s:g} s")
        time.sleep(SAMPLE_S)
