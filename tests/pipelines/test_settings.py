from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipelines.errors import SettingsError
from pipelines.masking import masked
from pipelines.settings import load_settings
from pipelines.store.address import mask
from pipelines.tracking.uri import shown


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
        ("jobs = -7", "jobs: Input should be greater than or equal to -1, got -7"),
        ("lease_ttl_s = inf", "lease_ttl_s: Input should be a finite number, got inf"),
        ("lease_ttl_s = 1e300", "less than or equal to 86400, got 1e+300"),
        ("tracking_timeout_s = nan", "tracking_timeout_s: Input should be"),
        ("sql_versions = 100000000000000000000000", "sql_versions: "),
        ('tracking_uri = "http://ann:geheim@host"', "take it out and set FORECAST_TRACKING_URI"),
        ('tracking_uri = "http://host/?token=geheim"', "take it out and set FORECAST_TRACKING_URI"),
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
    for text in (repr(found), str(found)):
        assert "eim" not in text
        assert "bob:***@host" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FORECAST_LEASE_TTL_S", "inf"),
        ("FORECAST_LEASE_TTL_S", "1e300"),
        ("FORECAST_TRACKING_TIMEOUT_S", "inf"),
        ("FORECAST_SQL_VERSIONS", str(10**23)),
        ("FORECAST_JOBS", "9" * 30),
    ],
)
def test_numbers_have_limits(tmp_path, monkeypatch, name, value):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=name.removeprefix("FORECAST_").lower()) as caught:
        load_settings(environ={name: value})
    assert value in str(caught.value)


def test_nothing_is_read_but_what_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORECAST_HOT_WINDOW", "7")
    assert load_settings(environ={}).hot_window == 64
    with pytest.raises(SettingsError, match="forecast_hot_window is not read; write FORECAST_HOT_WINDOW"):
        load_settings(environ={"forecast_hot_window": "7"})


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
        ("http://host:5000/?token=b", "http://host:5000/?token=***"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("https://host/x?a=1&API_KEY=b&c=d", "https://host/x?a=1&API_KEY=***&c=d"),
        ("postgresql://h/d?sslpassword=b", "postgresql://h/d?sslpassword=***"),
    ],
)
def test_masked(url, shown):
    assert masked(url) == shown


@pytest.mark.parametrize("show", [masked, mask, shown])
def test_every_part_hides_the_same(show):
    for url in ("http://ann:geheim@host/x", "http://host/?token=geheim", "http://host/?a=1&Password=geheim"):
        assert "geheim" not in show(url)
        assert "host" in show(url)


def test_the_width_of_vectors_is_not_a_setting_but_known():
    assert load_settings(environ={"FORECAST_SIMD_WIDTH": "4"}) == load_settings(environ={})
    with pytest.raises(SettingsError, match="write FORECAST_SIMD_WIDTH"):
        load_settings(environ={"forecast_simd_width": "4"})
