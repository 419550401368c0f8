"""Commands: exit codes, one line on stderr, never a traceback."""

import io
import json
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

from edge.runtime.__main__ import main
from tests.edge.runtime.bundles import (
    HOUR,
    KEY,
    OTHER,
    Spec,
    keys_json,
    members,
    newer,
    write_archive,
    write_folder,
)

ONE = Spec()


@pytest.fixture
def world(tmp_path):
    (tmp_path / "keys.json").write_bytes(keys_json(KEY))
    (tmp_path / "other.json").write_bytes(keys_json(OTHER))
    write_archive(tmp_path / "one.edge.zip", members(ONE))
    write_folder(tmp_path / "two", members(newer(ONE)))
    return tmp_path


@pytest.fixture
def run(world, capfdbinary, monkeypatch):
    """Run a command in `world`; (exit code, stdout, stderr),
    stderr checked to be lines without traceback."""
    monkeypatch.chdir(world)

    def go(*args, stdin=b""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as error:  # argparse
            code = error.code
        found = capfdbinary.readouterr()
        out, err = found.out.decode(), found.err.decode()
        assert "Traceback" not in err
        if code == 1:
            assert err.count("\n") >= 1 or "status" in args
        return code, out, err

    return go


def ticks(*values, first=1):
    lines = [
        {"series_id": "a", "ts_ms": ONE.last_ts_ms + (k + first) * HOUR, "value": y, "v": 1}
        for k, y in enumerate(values)
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_the_three_commands_of_a_device(run):
    code, out, err = run("verify", "one.edge.zip", "--keys", "keys.json")
    assert (code, err) == (0, "")
    assert out.startswith("test 1 (3 series, horizon 4): signed by ")
    assert "step.onnx answers within" in out
    code, out, _ = run("install", "one.edge.zip", "--keys", "keys.json", "--root", "root")
    assert (code, "installed" in out) == (0, True)
    code, out, err = run("step", "--root", "root", stdin=ticks(10.0, None, 12.0))
    assert (code, err) == (0, "")
    assert [json.loads(line)["imputed"] for line in out.splitlines()] == [0, 1, 0]
    assert run("status", "--root", "root")[0] == 0


def test_verify_says_no(run, world):
    assert run("verify", "one.edge.zip", "--key", KEY.public.hex())[0] == 0
    for args in (
        ("--keys", "other.json"), ("--key", OTHER.public.hex()), ("--key", "zz"),
        ("--keys", "missing.json"), ("--root", "none"),
    ):  # fmt: skip
        code, out, err = run("verify", "one.edge.zip", *args)
        assert (code, out, err.count("\n")) == (1, "", 1)
    (world / "two" / "model.onnx").write_bytes(b"x")
    code, _, err = run("verify", "two", "--keys", "keys.json")
    assert code == 1
    assert "model.onnx has another size" in err
    code, _, err = run("verify", "two", "--keys", "keys.json", "--json")
    assert (code, "model.onnx" in json.loads(err)["error"]) == (1, True)


def test_wrong_usage(run):
    for args in (
        (),
        ("fly",),
        ("verify",),
        ("install", "a", "--root"),
        ("serve", "--port", "x"),
        ("verify", "a", "--key", "x", "--keys", "y"),
    ):
        assert run(*args)[0] == 2


def test_update_rollback_and_replay(run):
    run("install", "one.edge.zip", "--keys", "keys.json", "--root", "root")
    assert run("install", "two", "--root", "root")[0] == 0
    assert "serves already" in run("install", "two", "--root", "root")[1]
    code, out, _ = run("rollback", "--root", "root", "--json")
    assert (code, json.loads(out)["bundle_version"]) == (0, 1)
    code, out, _ = run("status", "--root", "root", "--json")
    assert (code, json.loads(out)["highest_version"]) == (0, 2)
    run("install", "two", "--root", "root")
    code, _, err = run("install", "one.edge.zip", "--root", "root")
    assert code == 1
    assert "older than 2" in err
    assert run("install", "one.edge.zip", "--root", "root", "--allow-downgrade")[0] == 0


def test_bad_lines_are_told_and_the_others_go_on(run):
    run("install", "one.edge.zip", "--keys", "keys.json", "--root", "root")
    data = (
        ticks(10.0)
        + b"\n{bad\n"
        + ticks(10.0)
        + b"x" * 200_000
        + b"\n"
        + ticks(11.0, first=2)
        + ticks(12.0, first=3)[:-1]
    )
    code, out, err = run("step", "--root", "root", "--json", stdin=data)
    assert (code, len(out.splitlines())) == (1, 3)
    told = [json.loads(line) for line in err.splitlines()]
    assert [(t["line"], t["error"]) for t in told] == [(3, "malformed"), (4, "late"), (5, "too_large")]


def test_forecasts_from_a_file(run, world):
    run("install", "one.edge.zip", "--keys", "keys.json", "--root", "root")
    (world / "asked").write_text(
        '{"series_id": "b", "history": [10, 11, null], "ts_ms": 5, "v": 1}\n{"series_id": "a", "v": 1}\n'
    )
    code, out, err = run("forecast", "asked", "--root", "root")
    assert (code, err) == (0, "")
    assert [json.loads(line)["series_id"] for line in out.splitlines()] == ["b", "a"]
    assert not (world / "root" / "state.db").exists()
    assert run("forecast", "missing", "--root", "root")[0] == 1


def test_nothing_installed(run, world):
    for args in (("step",), ("forecast",), ("serve",), ("rollback",), ("status",)):
        code, out, err = run(*args, "--root", "empty")
        assert (code, out) == (1, "")
        assert err.count("\n") == 1
    (world / "empty").mkdir()
    code, out, err = run("status", "--root", "empty")
    assert (code, "current: none" in out, err) == (1, True, "")
    assert run("serve", "--root", "empty", "--host", "0.0.0.0")[0] == 1  # noqa: S104  # what is refused


def test_a_damaged_release_is_left_for_the_one_before(run, world):
    run("install", "one.edge.zip", "--keys", "keys.json", "--root", "root")
    run("install", "two", "--root", "root")
    (world / "root" / "current" / "step.onnx").write_bytes(b"rot")
    assert run("forecast", "--root", "root")[0] == 1  # which writes nothing
    code, out, err = run("step", "--root", "root", stdin=ticks(10.0))
    assert (code, json.loads(out)["v"]) == (0, 1)
    assert "step.onnx has another size" in err
    assert "went back to test 1 " in err
    (world / "root" / "current" / "step.onnx").write_bytes(b"rot")  # now both are
    code, out, err = run("step", "--root", "root", stdin=ticks(10.0))
    assert (code, out, err.count("\n")) == (1, "", 1)


def test_status_tells_damage(run, world):
    run("install", "one.edge.zip", "--keys", "keys.json", "--root", "root")
    (world / "root" / "current" / "model.onnx").write_bytes(b"")
    code, out, _ = run("status", "--root", "root")
    assert code == 1
    assert "refused: model.onnx" in out


def test_what_nobody_thought_of_is_one_line_too(run, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr("edge.runtime.device.status", fail)
    assert run("status", "--root", "x") == (1, "", "forecast-edge status: ZeroDivisionError: a b\n")
    monkeypatch.setattr("edge.runtime.device.status", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run("status", "--root", "x")[0] == 1


def device_app(tmp_path):
    """The zipapp as the bundle has it: the package alone, in a file."""
    source, stage = Path(__file__).parents[3] / "edge" / "runtime", tmp_path / "stage"
    (stage / "edge" / "runtime").mkdir(parents=True)
    (stage / "edge" / "__init__.py").write_text("")
    for path in source.glob("*.py"):
        (stage / "edge" / "runtime" / path.name).write_bytes(path.read_bytes())
    (stage / "__main__.py").write_text(
        "import sys\nfrom edge.runtime.__main__ import main\nsys.exit(main())\n"
    )
    zipapp.create_archive(stage, tmp_path / "app.pyz")
    return tmp_path / "app.pyz"


@pytest.mark.slow
def test_the_zipapp_runs_alone(world, tmp_path):
    app = device_app(tmp_path)

    def go(*args, stdin=""):
        command = [sys.executable, "-I", "-W", "error", str(app), *args]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=world, input=stdin)

    assert go("verify", "one.edge.zip", "--keys", "keys.json").returncode == 0
    done = go("install", "one.edge.zip", "--keys", "keys.json", "--root", "root")
    assert (done.returncode, done.stderr) == (0, "")
    done = go("step", "--root", "root", stdin=ticks(10.0).decode())
    assert (done.returncode, json.loads(done.stdout)["v"], done.stderr) == (0, 1, "")
    done = go("verify", "missing", "--keys", "keys.json")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


HEAVY = """
import sys
sys.path.insert(0, sys.argv[1])
from edge.runtime.cli import main
code = main(sys.argv[2:])
late = {"http.server", "sqlite3", "onnxruntime", "zoneinfo", "asyncio", "edge.runtime.serve"}
foreign = {"forecast", "pipelines", "numba", "pandas", "onnx", "cryptography", "edge.fleet", "edge.bundle"}
print(sorted((late | foreign) & set(sys.modules)))
sys.exit(code)
"""


@pytest.mark.slow
def test_a_command_loads_what_it_needs(world, tmp_path):
    app = device_app(tmp_path)

    def loaded(*args, stdin=b""):
        command = [sys.executable, "-I", "-c", HEAVY, str(app), *args]
        done = subprocess.run(command, check=True, capture_output=True, cwd=world, input=stdin)
        return json.loads(done.stdout.splitlines()[-1].replace(b"'", b'"'))

    assert loaded("verify", "one.edge.zip", "--keys", "keys.json", "--no-self-test") == []
    assert loaded("install", "one.edge.zip", "--keys", "keys.json", "--root", "root") == ["onnxruntime"]
    assert loaded("step", "--root", "root", stdin=ticks(10.0)) == ["onnxruntime", "sqlite3"]
    assert "onnxruntime" not in loaded("status", "--root", "root")
