"""`forecast produce` and `forecast tail`, on an embedded log."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from pipelines import wire
from pipelines.cli import main, stream, tail
from pipelines.errors import SettingsError
from pipelines.log import open_log
from pipelines.log.protocol import Membership, Topic
from pipelines.log.records import Partition, make_block
from tests.pipelines.consumer.test_stream import HOUR, forecast

COMMAND = [sys.executable, "-c", "from pipelines.cli import main; main()"]


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "in.csv"
    rows = [f"{s},2026-01-01 {k:02d}:00,{'' if k == 3 else k},{k % 2},note" for k in range(24) for s in "ab"]
    path.write_text("\n".join(["shop,when,sold,promo,remark", *rows, ""]))
    return path


@pytest.fixture
def file(tmp_path):
    """A log with five forecasts of a, one of b, and two messages that are none."""
    path = tmp_path / "log.db"
    put(path, *(forecast("a", k * HOUR, k) for k in range(5)), forecast("b\x1b[2J", 0, 5, z=None, imputed=3))
    log = open_log(f"embedded:{path}")
    writer = log.writer()
    writer.write(make_block(Partition("forecasts", 0), [(b"a", b"{"), (b"a", b"[]")]))
    writer.close()
    log.close()
    return path


def put(path, *forecasts):
    log = open_log(f"embedded:{path}")
    log.make_topics([Topic("forecasts", 1)])
    writer = log.writer()
    pairs = [(f.series_id.encode(), wire.encode_forecast(f)) for f in forecasts]
    writer.write(make_block(Partition("forecasts", 0), pairs))
    writer.close()
    log.close()


NAMES = ("--id-col", "shop", "--time-col", "when", "--target-col", "sold")


def test_produce_sends_every_row_and_says_how_many(csv, tmp_path):
    done = run("produce", csv, "--log", tmp_path / "log.db", *NAMES, "--partitions", 3)
    assert done.exit_code == 0, done.output
    assert "48 ticks of 2 series to ticks, 2 without a value" in done.stdout
    assert "'remark' holds no numbers" in done.stderr
    log = open_log(f"embedded:{tmp_path / 'log.db'}")
    assert log.partitions("ticks") == 3
    reader = log.reader()
    reader.assign({Partition("ticks", n): None for n in range(3)})
    ticks = [wire.decode_tick(b.value(i)) for b in reader.poll(0.1, 100) for i in range(len(b.offsets))]
    assert len(ticks) == 48
    assert {tick.exog["promo"] for tick in ticks} == {0.0, 1.0}
    reader.close()
    log.close()


def test_produce_as_json_with_a_limit_and_without_regressors(csv, tmp_path):
    done = run("produce", csv, "--log", tmp_path / "l", *NAMES, "--json", "--limit", 5, "--no-exog")
    found = json.loads(done.stdout)
    assert (found["ticks"], found["total"], sum(found["partitions"]), found["topic"]) == (5, 5, 5, "ticks")


def test_produce_names_a_bad_row_and_sends_nothing(csv, tmp_path):
    csv.write_text(csv.read_text().replace(",23,1,", ",many,1,", 1))
    done = run("produce", csv, "--log", tmp_path / "l", *NAMES)
    assert done.exit_code == 1
    assert "row 47: sold = 'many' is no number" in done.stderr
    assert not (tmp_path / "l").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--log", "l", "--bootstrap", "h:1"), "--bootstrap is for Kafka"),
        ((), "say where the log is"),
        (("--log", "l", "--speed", "fast"), "neither a positive number nor max"),
        (("--log", "l", "--speed", "-1"), "neither a positive number nor max"),
        (("--log", "l", "--exog", "x", "--no-exog"), "do not go together"),
    ],
)
def test_wrong_usage_of_produce(csv, words, said):
    done = run("produce", csv, *words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_broker_that_is_none_is_named(csv):
    done = run("produce", csv, *NAMES, "--bootstrap", "nowhere")
    assert done.exit_code == 1
    assert "'nowhere' is no broker" in done.stderr


def test_tail_prints_a_line_a_forecast_and_counts_what_is_none(file):
    done = run("tail", "--log", file, "--from", "start", "--no-follow")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert lines[1] == "1970-01-01 01:00:00  a  1 [-1, 3] 97.5 %  ▁█  z +0.50  AutoAR@vvvvvvvv"
    assert "b?[2J" in lines[5]  # nothing that a terminal would obey
    assert "imputed 3" in lines[5]
    assert "1 malformed, 1 wrong_type" in done.stderr


def test_tail_makes_no_log_where_there_is_none(tmp_path):
    done = run("tail", "--log", tmp_path / "typo.db")
    assert done.exit_code == 1
    assert "there is no log" in done.stderr
    assert "typo.db" in done.stderr
    assert not (tmp_path / "typo.db").exists()


@pytest.mark.parametrize("option", ["--group", "--instance"])
@pytest.mark.parametrize("name", ["", " "])
def test_a_worker_and_its_group_need_names(tmp_path, option, name):
    done = run("stream", "--model", "m", "--log", tmp_path / "l", option, name)
    assert done.exit_code == 2
    assert option in done.stderr
    assert not (tmp_path / "l").exists()
    with pytest.raises(SettingsError, match="needs a name"):
        Membership(**{"group": "g", "instance": "i", option.removeprefix("--"): name})


def test_tail_as_json_is_the_messages(file):
    done = run(
        "tail", "--log", file, "--from", "start", "--no-follow", "--json", "--series", "a", "--limit", 2
    )
    assert [wire.decode_forecast(line.encode()).ts_ms for line in done.stdout.splitlines()] == [0, HOUR]


def test_tail_of_int_times_and_without_bars(file):
    done = run("tail", "--log", file, "--from", "start", "--limit", 1, "--int-times", "--no-bars")
    assert done.stdout == "0  a  0 [-2, 2] 97.5 %  z +0.50  AutoAR@vvvvvvvv\n"


def test_bars_of_long_flat_and_huge_paths():
    assert tail._drawn([1.0] * 5) == "▁▁▁▁▁"
    assert len(tail._drawn([float(k) for k in range(8760)])) <= 24
    assert tail._drawn([-1.7e308, 1.7e308]) == "▁█"


def follow(file, *words):
    return subprocess.Popen(
        [*COMMAND, "tail", "--log", str(file), "--from", "start", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_tail_waits_prints_what_comes_and_stops_cleanly(file, number):
    with follow(file) as process:
        for _ in range(6):
            process.stdout.readline()
        put(file, forecast("late", 9 * HOUR, 9))
        assert "late" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_tail_ends_when_its_reader_leaves(file):
    with follow(file) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 0  # without another forecast
        assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_produce_flushes_when_it_is_stopped(csv, tmp_path):
    words = [*COMMAND, "produce", str(csv), *NAMES, "--log", str(tmp_path / "l"), "--rate", "10", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "l").exists():
            time.sleep(0.05)
        time.sleep(1.0)
        os.kill(process.pid, signal.SIGINT)
        out, said = process.communicate(timeout=10)
    sent = json.loads(out)
    assert process.returncode == 130
    assert 0 < sent["ticks"] < sent["total"]
    assert "ticks were not sent" in said


def test_the_lead_of_a_stream_is_in_seconds():
    asked = {"horizon": 3, "level": (95.0,), "gap_cap": 1, "grace": 0, "max_series": 9}
    assert stream._engine_options({**asked, "lead": 1.5}).lead_ms == 1500
    assert stream._engine_options({**asked, "lead": None}).lead_ms is None


@pytest.mark.parametrize(("interval_ms", "timeout_s"), [(100, 30.0), (60_000, 120.0)])
def test_a_transaction_has_time_for_its_interval(interval_ms, timeout_s):
    words = ["--model", "m", "--instance", "w", "--commit-interval-ms", str(interval_ms)]
    asked = stream.command.make_context("stream", words).params
    assert stream._service_options(asked).membership.transaction_timeout_s == timeout_s


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_stderr_that_is_full_stops_no_work(csv, tmp_path):
    words = ["produce", csv, "--log", tmp_path / "l", *NAMES, "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, *map(str, words)], stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["ticks"] == 48
