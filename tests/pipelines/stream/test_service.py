"""The whole service: a real engine on a real log, judged by the verifier of the chaos rounds."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
import zlib

import pytest

from pipelines.log import open_log
from pipelines.log.protocol import Delivery, Membership
from pipelines.log.records import Partition, make_batch, make_block
from pipelines.stream.engine import Engine
from pipelines.stream.loading import load_folder
from pipelines.stream.options import StreamOptions
from pipelines.stream.service import ServiceOptions, run_service
from pipelines.stream.stopping import Stop
from pipelines.stream.topics import topics_for
from pipelines.stream.worker_options import WorkerOptions
from tests.chaos.feeding import DT_MS, Shares, make_model, messages
from tests.chaos.records import Record
from tests.chaos.states import compare_states
from tests.chaos.verifier import Case, check
from tests.pipelines.stream.faulty import FaultyLog, Killed, Plan

pytestmark = pytest.mark.slow

H, LEVELS, TICKS, PARTITIONS = 6, (80.0, 95.0), 400, 2
BOTH = pytest.mark.parametrize("delivery", list(Delivery))
CODE = "import sys; from pipelines.cli import main; sys.argv[0] = 'forecast'; main()"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("service") / "model", 7, 1)


@pytest.fixture(scope="module")
def ticks():
    """Ticks by partition: in order, late, twice, without values, poisoned."""
    source = messages(7, 1, Shares(0.05, 0.05, 0.05, 0.03, 0.02))
    found = {number: [] for number in range(PARTITIONS)}
    for _ in range(TICKS):
        key, value = next(source)
        number = zlib.crc32(key or b"") % PARTITIONS
        found[number].append(Record(number, len(found[number]), key, value))
    return found


class World:
    """A log with ticks, and what a service makes of them."""

    def __init__(self, address, model, ticks, **opened):
        name = uuid.uuid4().hex[:8]
        self.log, self.model, self.ticks = open_log(address, **opened), model, ticks
        self.topics = topics_for(f"ticks-{name}", f"forecasts-{name}")
        self.group = f"group-{name}"

    def make(self):
        from pipelines.stream.preparing import make_stream_topics

        make_stream_topics(self.log, self.topics, "model-control", PARTITIONS)

    def produce(self, first=0, last=None):
        writer = self.log.writer()
        for number, records in self.ticks.items():
            part = [(one.key, one.value) for one in records[first:last]]
            writer.write(make_block(Partition(self.topics.ticks, number), part))
        writer.flush()
        writer.close()

    def engine(self):
        options = StreamOptions(horizon=H, levels=LEVELS)
        return Engine(load_folder(self.model), options, self.topics)

    def run(self, delivery=Delivery.EXACTLY_ONCE, plan=None, snapshots=None, **changes):
        engine = self.engine()
        worker = WorkerOptions(**{"commit_interval_s": 0.02, "batch_limit": 40} | changes)
        service = ServiceOptions(
            Membership(self.group, "one", delivery), self.topics, worker=worker, stop_at_end=True,
            snapshots=snapshots,
        )  # fmt: skip
        faulty = FaultyLog(self.log, plan or Plan())
        try:
            return run_service(faulty, engine, engine.served, service, Stop())
        except Killed:
            faulty.bury()
            return None

    def records(self, topic):
        places = [Partition(topic, number) for number in range(PARTITIONS)]
        reader, found = self.log.reader(), []
        try:
            reader.assign(dict.fromkeys(places))
            ends = reader.ends(places)
            while any(reader.positions()[at] < ends[at] for at in places):
                for batch in reader.poll(0.2, 10_000):
                    found += [
                        Record(batch.partition.number, int(offset), batch.key(i), batch.value(i))
                        for i, offset in enumerate(batch.offsets)
                    ]
        finally:
            reader.close()
        return found

    def faults(self):
        """What the verifier has to complain of; the ticks must be all that were made."""
        topics = self.topics
        case = Case("", str(self.model), H, list(LEVELS), DT_MS, *topics[:2], *topics[3:], topics.state, None)
        ticks = self.records(topics.ticks)
        assert len(ticks) == TICKS
        found = check(
            case, ticks, *(self.records(name) for name in (topics.forecasts, topics.late, topics.dead))
        )
        return found.faults, found.told


@pytest.fixture
def world(model, ticks, tmp_path):
    world = World(f"embedded:{tmp_path / 'log.db'}", model, ticks)
    world.make()
    yield world
    world.log.close()


@BOTH
def test_every_tick_is_forecast_as_the_library_does(world, delivery):
    world.produce()
    totals = world.run(delivery)
    faults, told = world.faults()
    assert faults == {}, told
    assert totals.counts["ticks"] == TICKS
    assert sum(totals.dead_reasons.values()) == totals.counts["dead"] > 0
    assert "unknown" not in totals.dead_reasons


@pytest.mark.parametrize("with_snapshots", [False, True], ids=["changelog", "snapshots"])
def test_killed_again_and_again_it_ends_where_an_undisturbed_run_does(
    world, model, ticks, tmp_path, with_snapshots
):
    clean = World(f"embedded:{tmp_path / 'clean.db'}", model, ticks)
    clean.make()
    clean.produce()
    clean.run()
    snapshots = tmp_path / "snapshots" if with_snapshots else None
    world.produce(0, 100)
    world.run(snapshots=snapshots)
    world.produce(100)
    deaths = 0
    for at in range(6, 60, 5):
        deaths += world.run(plan=Plan(at, after=at % 2 == 0), snapshots=snapshots) is None
    world.run(snapshots=snapshots)
    faults, told = world.faults()
    assert faults == {}, told
    compared = compare_states(world.records(world.topics.state), clean.records(clean.topics.state))
    assert (compared.faults, compared.other_bytes) == ([], 0)
    assert compared.keys >= 7
    assert deaths > 2
    clean.log.close()


def start(*words, cwd):
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "stream", *map(str, words)], cwd=cwd, stderr=subprocess.PIPE, text=True
    )


def wait_healthy(process, patience_s=120.0):
    """Read the address of the page from the log, and wait until the worker has partitions."""
    port = None
    for line in process.stderr:
        if found := re.search(r"127\.0\.0\.1:(\d+)/metrics", line):
            port = int(found[1])
            break
    assert port is not None, f"it ended with {process.wait()}"
    ends = time.monotonic() + patience_s
    while time.monotonic() < ends:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                report = json.load(answer)
        except OSError:
            report = {}
        if report.get("assigned") and not report["restoring"]:
            return report
        time.sleep(0.05)
    raise AssertionError("not healthy in time")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_in_good_order(world, tmp_path, number):
    world.produce()
    words = (
        "--model", world.model, "--log", tmp_path / "log.db", "--ticks", world.topics.ticks, "--forecasts",
        world.topics.forecasts, "--group", world.group, "--horizon", H, "--level", 80, "--level", 95,
        "--snapshots", "snapshots", "--metrics-port", 0, "--commit-interval-ms", 60_000,
    )  # fmt: skip
    process = start(*words, cwd=tmp_path)
    try:
        wait_healthy(process)
        time.sleep(0.5)  # ticks are handled, and nothing is committed yet
        process.send_signal(number)
        said = process.communicate(timeout=30)[1]
    finally:
        process.kill()
    assert process.returncode == 0, said
    faults, told = world.faults()
    assert faults == {}, told
    assert len(list((tmp_path / "snapshots").rglob("*.state"))) == PARTITIONS


def test_the_service_loads_nothing_that_is_for_people_at_a_notebook(world, tmp_path):
    world.produce()
    code = (
        "import sys\nfrom pipelines.cli import main\n"
        "try:\n    main(sys.argv[1:], prog_name='forecast')\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print([m for m in ('pandas', 'statsmodels', 'mlflow', 'pyarrow', 'matplotlib') if m in sys.modules])"
    )
    words = (
        "stream", "--model", world.model, "--log", tmp_path / "log.db", "--ticks", world.topics.ticks,
        "--forecasts", world.topics.forecasts, "--metrics-port", 0, "--stop-at-end", "--horizon", H,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], cwd=tmp_path, capture_output=True, text=True,
        check=True, env={**os.environ, "FORECAST_STORE_URL": f"sqlite:///{tmp_path / 'store.db'}"},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


@pytest.mark.stream
@BOTH
def test_on_a_real_kafka_too(kafka_address, model, ticks, delivery):
    world = World(kafka_address, model, ticks)
    try:
        world.make()
        world.produce(0, 100)
        world.run(delivery)
        world.produce(100)
        world.run(delivery)
        faults, told = world.faults()
        assert faults == {}, told
    finally:
        world.log.close()


@pytest.mark.stream
@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_ticks_that_end_with_a_marker_of_a_transaction_are_an_end_too(kafka_address, model, ticks, client):
    world = World(kafka_address, model, ticks, client=client)
    author = world.log.member(Membership(f"author-{world.group}", "one"))
    try:
        world.make()
        author.begin()
        for number, records in world.ticks.items():
            part = [(one.key, one.value) for one in records]
            author.write(make_block(Partition(world.topics.ticks, number), part))
        author.commit({})
        assert world.run().counts["ticks"] == TICKS
        assert world.run().counts["ticks"] == 0  # with nothing but the marker left
        faults, told = world.faults()
        assert faults == {}, told
    finally:
        author.close()
        world.log.close()


def test_a_swap_before_a_crash_and_after_it_lead_to_the_same(world, tmp_path):
    """Hence the states of a partition need not be written anew when the model changes."""
    other = load_folder(make_model(tmp_path / "other", 7, 2))
    world.produce(0, 100)
    world.run()
    reader = world.log.reader()
    places = [Partition(world.topics.state, n) for n in range(PARTITIONS)]
    reader.assign(dict.fromkeys(places))
    changelog = []
    while any(reader.positions()[at] < end for at, end in reader.ends(places).items()):
        changelog += reader.poll(1.0, 10_000)
    reader.close()
    before, after = world.engine(), Engine(other, StreamOptions(horizon=H, levels=LEVELS), world.topics)
    for engine in (before, after):
        for number in range(PARTITIONS):
            engine.open(number)
        for batch in changelog:
            engine.restore(batch.partition.number, batch)
    before.swap(other)
    for number in range(PARTITIONS):
        rest = [(one.key, one.value) for one in world.ticks[number][100:]]
        batch = make_batch(
            Partition(world.topics.ticks, number), range(100, 100 + len(rest)), [0] * len(rest), rest, 0
        )
        one, two = before.process(batch), after.process(batch)
        assert one.counts == two.counts
        assert one.counts.forecasts > 0
        for mine, theirs in zip(one.blocks, two.blocks, strict=True):
            assert mine.data.tobytes() == theirs.data.tobytes()
