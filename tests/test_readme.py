"""Every example of the README runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^\$ forecast (.*?)(?:\s+#.*)?$", README, re.MULTILINE)
# They run side by side: tests/test_readme_stream.py, tests/test_readme_loop.py.
STREAMING = ("stream", "produce", "tail", "monitor", "retrain")
DECODING = re.findall(r"^\$ python -m decoding (.*?)(?:\s+#.*)?$", README, re.MULTILINE)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A folder in which the Python examples ran, in their order."""
    folder = tmp_path_factory.mktemp("readme")
    scope: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in BLOCKS:
            exec(compile(block, "README.md", "exec"), scope)  # noqa: S102  # the point of the test
    return folder, scope


def test_python_examples_run_and_give_what_they_say(room):
    _, scope = room
    pred, report, table, paths = (scope[name] for name in ("pred", "report", "table", "paths"))
    assert list(pred.columns) == ["unique_id", "ds", "ARX", "ARX-lo-95", "ARX-hi-95"]
    assert len(pred) == 8
    assert len(report) == 1
    assert set(table["metric"]) == {"mase", "smape", "crps", "coverage-80", "coverage-95"}
    assert len(paths) == 100 * 18


@pytest.mark.slow
def test_commands_run_as_written_one_after_another(room, monkeypatch):
    from click.testing import CliRunner

    from pipelines.cli import main

    folder, scope = room
    monkeypatch.chdir(folder)
    scope["df"].to_csv("sales.csv", index=False)
    for line in COMMANDS:
        if line.startswith(("demo", "warm", *STREAMING)):
            continue
        result = CliRunner().invoke(main, line.split())
        assert result.exit_code == 0, f"{line}: {result.output}"


@pytest.mark.slow
def test_commands_of_decoding_run_as_written(monkeypatch):
    from click.testing import CliRunner

    from decoding.cli import main

    monkeypatch.chdir(ROOT)
    assert {line.split()[0] for line in DECODING} >= {"generate", "plan"}
    for line in DECODING:
        result = CliRunner().invoke(main, shlex.split(line))
        assert result.exit_code == 0, f"{line}: {result.output}"
        assert result.stdout.strip()


def test_every_command_stands_in_the_readme():
    from pipelines.cli import COMMANDS as KNOWN

    assert {c.split()[0] for c in COMMANDS} == set(KNOWN)
