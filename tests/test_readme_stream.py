"""The commands of the README that stream a CSV through Kafka, as written; and the examples of the page."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from pipelines.cli import main

ROOT = Path(__file__).parent.parent
COMMANDS = re.findall(
    r"^\$ (forecast (?:stream|produce|tail) .*?)(?:\s+#.*)?$", (ROOT / "README.md").read_text(), re.M
)
PAGE = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "streaming.md").read_text(), re.DOTALL)
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with `sales@champion`, and the six months after its data in new.csv."""
    from pipelines.demo.datasets import DATASETS

    monkeypatch.chdir(tmp_path)
    whole = DATASETS[-1].read()
    whole.iloc[:-6].to_csv("sales.csv", index=False)
    whole.iloc[-6:].to_csv("new.csv", index=False)
    done = CliRunner().invoke(main, ["train", "sales.csv", "--horizon", "12", "--windows", "0", "--no-track"])
    assert done.exit_code == 0, done.output
    return tmp_path


@pytest.mark.stream
def test_the_three_commands_stream_a_csv_through_kafka(folder, kafka_cluster):
    assert [line.split()[1] for line in COMMANDS] == ["stream", "produce", "tail"]
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {**os.environ, "KAFKA": kafka_cluster(1).bootstrap, "PATH": places}

    def start(line):
        return subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    stream, produce, tail = COMMANDS
    with start(stream) as service:
        try:
            with start(produce) as producer:
                out, said = producer.communicate(timeout=120)
                assert "6 ticks of 1 series" in out, said
            assert "model sales" in service.stderr.readline()
            with start(tail.replace("tail", "tail --limit 6")) as reader:
                lines, said = reader.communicate(timeout=300)
                assert len(lines.splitlines()) == 6, said
                assert "AutoAR@" in lines
        finally:
            service.send_signal(signal.SIGTERM)
        assert service.wait(30) == 0, service.stderr.read()


def test_the_examples_of_the_page_run_on_an_embedded_log(folder, capsys):
    def run(*words):
        done = CliRunner().invoke(main, [*words, "--log", "stream.db"])
        assert done.exit_code == 0, done.output

    run("produce", "new.csv")
    run("stream", "--model", "sales@champion", "--horizon", "12", "--stop-at-end")
    scope = {}
    for block in PAGE:
        exec(compile(block.replace('freq="min"', 'freq="MS"'), "streaming.md", "exec"), scope)  # noqa: S102  # the point
    assert len(capsys.readouterr().out.splitlines()) == 6
    assert sum(scope["kept"].values()) >= 6
    frame = scope["frame"]
    assert len(frame) == 6 * 12
    assert frame["ds"].iloc[0] == frame["cutoff"].iloc[0] + pd.offsets.MonthBegin()
    assert scope["nearest"].shape == (6,)
    scope["log"].close()
