"""`forecast stream`: where its log is, and how it ends."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from pipelines.cli import main
from pipelines.cli.log_options import service_address
from pipelines.errors import FencedError, SettingsError, StreamError
from pipelines.settings import load_settings


@pytest.mark.parametrize(
    ("log", "bootstrap", "environ", "address"),
    [
        (None, "a:1", {}, "a:1"),
        ("kafka", None, {"FORECAST_KAFKA_BOOTSTRAP": "b:2"}, "b:2"),
        (None, "a:1", {"FORECAST_KAFKA_BOOTSTRAP": "b:2"}, "a:1"),
        ("embedded", None, {}, "embedded:stream.db"),
        ("embedded", None, {"FORECAST_LOG_PATH": "x.db"}, "embedded:x.db"),
        ("y.db", None, {"FORECAST_KAFKA_BOOTSTRAP": "b:2"}, "embedded:y.db"),
    ],
)
def test_where_the_log_is(tmp_path, monkeypatch, log, bootstrap, environ, address):
    monkeypatch.chdir(tmp_path)
    assert service_address(load_settings(environ=environ), log, bootstrap) == address


@pytest.mark.parametrize(("log", "bootstrap"), [(None, None), ("kafka", None), ("embedded", "a:1")])
def test_where_it_cannot_be(tmp_path, monkeypatch, log, bootstrap):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(click.UsageError):
        service_address(load_settings(environ={}), log, bootstrap)


def test_secrets_of_kafka_come_from_the_environment_and_are_not_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environ = {
        "FORECAST_KAFKA_PROTOCOL": "SASL_SSL",
        "FORECAST_KAFKA_USERNAME": "ann",
        "FORECAST_KAFKA_PASSWORD": "geheim",
    }
    settings = load_settings(environ=environ)
    assert settings.security().password == environ["FORECAST_KAFKA_PASSWORD"]
    assert "geheim" not in repr(settings) + repr(settings.security())
    (tmp_path / "forecast.toml").write_text('kafka_password = "geheim"\n')
    with pytest.raises(SettingsError, match="FORECAST_KAFKA_PASSWORD"):
        load_settings(environ={})


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (FencedError("another has taken its place"), 4, "an --instance of its own"),
        (StreamError("a broker is down", retriable=True), 75, "a broker is down"),
        (StreamError("no such model"), 1, "no such model"),
    ],
)
def test_exit_codes(monkeypatch, error, code, said):
    def fail(*_):
        raise error

    monkeypatch.setattr("pipelines.cli.stream._serve", fail)
    result = CliRunner().invoke(main, ["stream", "--model", "m", "--bootstrap", "a:1"])
    assert result.exit_code == code
    assert said in result.stderr
