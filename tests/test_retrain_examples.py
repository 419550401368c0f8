"""The examples for schedulers run as written: crontab, systemd, Airflow, Kubernetes.

Two things are put in place of what a test has not: the folder /srv/forecast, and Kafka, by an embedded log.
Airflow is not installed: the file is run against a stand-in for the two names that it imports.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
import yaml

from pipelines.cli.retrain import command as retrain
from pipelines.log.embedded import EmbeddedLog
from pipelines.log.records import Partition
from pipelines.retrain.cron import parse_cron
from pipelines.retrain.promote import promote
from pipelines.settings import Settings
from pipelines.store import open_store
from pipelines.wire import decode_control
from tests.pipelines.retrain.fleet import Shop
from tests.services.mlflow_server import free_port

FOLDER = Path(__file__).parent.parent / "docs" / "examples" / "retrain"
(CRON,) = [line for line in (FOLDER / "crontab").read_text().splitlines() if not line.startswith("#")]
SERVICE = (FOLDER / "forecast-retrain.service").read_text()
MANIFEST = yaml.safe_load((FOLDER / "cronjob.yaml").read_text())
ARGUMENTS = "forecast retrain --due --log kafka --log-format json"


@pytest.fixture
def place(tmp_path):
    """A folder with settings, a store, and a champion that nobody was told of; MLflow is down."""
    settings = Settings(store_url=f"sqlite:///{tmp_path}/forecast.db", model_root=tmp_path / "models")
    with open_store(settings.store()) as store:
        store.upgrade()
        promote(store, "shop", Shop(store, settings, tmp_path).whole(), reason="first")
    uri = f"http://127.0.0.1:{free_port()}"
    (tmp_path / "forecast.toml").write_text(f'tracking_uri = "{uri}"\ntracking_timeout_s = 60\n')
    return tmp_path


def start(command, folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FORECAST_")} | {"PATH": path}
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def adapted(command, folder):
    assert "--log kafka" in command
    return command.replace("/srv/forecast", str(folder)).replace("--log kafka", "--log embedded")


def told(folder):
    log = EmbeddedLog(folder / "stream.db")
    reader = log.reader()
    reader.assign({Partition("model-control", 0): None})
    found = [decode_control(b.value(i)) for b in reader.poll(1.0, 100) for i in range(len(b.offsets))]
    reader.close()
    log.close()
    return [(control.name, control.row_version) for control in found]


def options_of(words):
    """Parse a command's words as the command line does."""
    assert words[:2] == ["forecast", "retrain"]
    return retrain.make_context("retrain", words[2:]).params


def cron_line():
    found = re.fullmatch(r"((?:\S+ ){5})(.*)", CRON)
    assert found
    return found[1].strip(), found[2]


@pytest.mark.slow
def test_the_line_for_cron_tells_what_was_not_told(place):
    when, command = cron_line()
    assert parse_cron("crontab", when).text == "* * * * *"
    done = start(adapted(command, place), place)
    log = (place / "retrain.log").read_text()
    assert done.returncode == 3, log  # MLflow is down
    assert "nothing is due" in log
    assert "mirror" in log
    assert told(place) == [("shop", 1)]


@pytest.mark.slow
def test_the_service_runs_what_it_says(place):
    (command,) = re.findall(r"^ExecStart=(.*)$", SERVICE, re.MULTILINE)
    (good,) = re.findall(r"^SuccessExitStatus=(.*)$", SERVICE, re.MULTILINE)
    assert good.split() == ["3", "75"]
    done = start(adapted(command, place) + " --no-track", place)
    assert done.returncode == 0, done.stderr
    assert told(place) == [("shop", 1)]


def test_systemd_takes_service_and_timer(tmp_path):
    if shutil.which("systemd-analyze") is None:
        missing = "systemd-analyze is not installed"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    for name in ("forecast-retrain.service", "forecast-retrain.timer"):
        shutil.copy(FOLDER / name, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "Unknown" not in done.stderr
    assert "Failed to parse" not in done.stderr
    timer = (tmp_path / "forecast-retrain.timer").read_text()
    (calendar,) = re.findall(r"^OnCalendar=(.*)$", timer, re.MULTILINE)
    done = subprocess.run(
        ["systemd-analyze", "calendar", calendar], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def run_dag(monkeypatch):
    """Run the file against a stand-in for Airflow; return the arguments of the DAG and of its one task."""
    dags, tasks = [], []

    class Dag:
        def __init__(self, **arguments):
            dags.append(arguments)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    names = ["airflow", "airflow.sdk", "airflow.providers", "airflow.providers.standard",
             "airflow.providers.standard.operators", "airflow.providers.standard.operators.bash"]  # fmt: skip
    for name in names:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["airflow.sdk"].DAG = Dag
    sys.modules[names[-1]].BashOperator = lambda **arguments: tasks.append(arguments)
    runpy.run_path(str(FOLDER / "airflow_dag.py"))
    (dag,), (task,) = dags, tasks
    return dag, task


@pytest.mark.slow
def test_the_dag_runs_the_command_and_takes_3_for_done(place, monkeypatch):
    dag, task = run_dag(monkeypatch)
    parse_cron("dag", dag["schedule"])
    assert dag["start_date"].tzinfo is not None
    assert dag["catchup"] is False
    assert task["cwd"] == "/srv/forecast"
    assert task["append_env"] is True
    assert task["retries"] >= 1
    done = start(adapted(task["bash_command"], place), place)
    assert done.returncode == 0, done.stderr
    assert told(place) == [("shop", 1)]
    broken = start(
        adapted(task["bash_command"], place).replace("--due", "--due --control ''"), place / "models"
    )
    assert broken.returncode != 0  # there is no store in that folder


def test_every_example_runs_the_same_command(monkeypatch):
    _, task = run_dag(monkeypatch)
    (service,) = re.findall(r"^ExecStart=/usr/bin/env (.*)$", SERVICE, re.MULTILINE)
    container = MANIFEST["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    commands = [
        cron_line()[1].removeprefix("cd /srv/forecast && ").removesuffix(" >>retrain.log 2>&1"),
        service, task["bash_command"].partition(" ||")[0], shlex.join(container["command"]),
    ]  # fmt: skip
    assert set(commands) == {ARGUMENTS}
    asked = options_of(shlex.split(ARGUMENTS))
    assert asked["due"] is True
    assert asked["log_file"] == "kafka"


def test_the_manifest_holds_together():
    assert (MANIFEST["apiVersion"], MANIFEST["kind"]) == ("batch/v1", "CronJob")
    spec = MANIFEST["spec"]
    parse_cron("cronjob", spec["schedule"])
    assert spec["concurrencyPolicy"] in ("Allow", "Forbid", "Replace")
    job = spec["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] in ("Never", "OnFailure")
    (container,) = pod["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounted) == {volume["name"] for volume in pod["volumes"]}
    assert container["workingDir"] in mounted.values()
    variables = {one["name"]: one for one in container["env"]}
    assert all(len({"value", "valueFrom"} & set(one)) == 1 for one in variables.values())
    assert "value" not in variables["FORECAST_STORE_PASSWORD"]  # a secret
    known = {f"FORECAST_{name.upper()}" for name in Settings.model_fields}
    assert set(variables) <= known
    plain = {k.removeprefix("FORECAST_").lower(): v["value"] for k, v in variables.items() if "value" in v}
    assert Settings(**plain).kafka_bootstrap == "kafka:9092"
