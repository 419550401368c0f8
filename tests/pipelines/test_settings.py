from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipelines.errors import SettingsError
from pipelines.settings import load_settings, masked


def test_option_beats_variable_beats_file_beats_default(tmp_path):
    file = tmp_path / "forecast.toml"
    file.write_text('jobs = 2\nrun_root = "a"\nmodel_root = "b"\n')
    found = load_settings(file, {"FORECAST_RUN_ROOT": "c", "FORECAST_MODEL_ROOT": "d"}, model_root="e")
    assert (found.jobs, str(found.run_root), str(found.model_root)) == (2, "c", "e")
    assert found.tracking_uri == "sqlite:///mlflow.db"


def test_the_file_of_the_folder_or_of_the_variable_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "forecast.toml").write_text("jobs = 3\n")
    (tmp_path / "other.toml").write_text("jobs = 4\n")
    assert load_settings(environ={}).jobs == 3
    assert load_settings(environ={"FORECAST_CONFIG": "other.toml"}).jobs == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('stor_url = "x"', "unknown key 'stor_url'; did you mean 'store_url'"),
        ('store_password = "geheim"', "take it out and set FORECAST_STORE_PASSWORD"),
        ('store_url = "postgresql+psycopg://ann:geheim@host/db"', "set FORECAST_STORE_PASSWORD"),
        ("jobs = -7", "jobs: Input should be greater"),
        ("jobs = [", "cannot be read"),
    ],
)
def test_what_the_file_cannot_say(tmp_path, text, message):
    file = tmp_path / "forecast.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        load_settings(file, {})
    assert message in str(error.value)
    assert "geheim" not in str(error.value)


def test_an_unknown_variable_names_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="FORECAST_STOR_URL; did you mean 'FORECAST_STORE_URL'"):
        load_settings(environ={"FORECAST_STOR_URL": "x"})


def test_no_secret_is_ever_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = load_settings(
        environ={
            "FORECAST_STORE_URL": "postgresql+psycopg://ann@host/db",
            "FORECAST_STORE_PASSWORD": "ge@h/eim",
            "FORECAST_SOURCE_URL": "postgresql+psycopg://bob:geheim@host/db",
        }
    )
    assert found.store() == "postgresql+psycopg://ann:ge%40h%2Feim@host/db"
    for shown in (repr(found), str(found)):
        assert "eim" not in shown
        assert "bob:***@host" in shown


def test_settings_are_frozen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValidationError):
        load_settings(environ={}).jobs = 3


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://a:b@c@host/x", "http://a:***@host/x"),
        ("postgresql://host/db?user=a&password=b&x=1", "postgresql://host/db?user=a&password=***&x=1"),
        ("sqlite:///a.db", "sqlite:///a.db"),
    ],
)
def test_masked(url, shown):
    assert masked(url) == shown
