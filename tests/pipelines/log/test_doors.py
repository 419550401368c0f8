"""Addresses of logs, and how a client proves who it is."""

import subprocess
import sys

import pytest

from pipelines.errors import LogError, SettingsError
from pipelines.log import open_log
from pipelines.log.kafka.settings import common
from pipelines.log.security import Security


@pytest.mark.parametrize(
    "address", ["", "host", "host:", "host:x", "host:0", "host:70000", "a:1,,b:2", "http://h:1"]
)
def test_what_is_no_address_is_told(address):
    with pytest.raises(LogError, match=r"HOST:PORT"):
        open_log(address)


def test_an_unknown_client_is_told():
    with pytest.raises(LogError, match="kafka-python"):
        open_log("localhost:9092", client="other")


def test_a_broker_that_is_not_there_is_named():
    with pytest.raises(LogError, match=r"127\.0\.0\.1:1 ") as caught:
        open_log("127.0.0.1:1")
    assert caught.value.retriable


def test_secrets_are_not_printed():
    security = Security("SASL_SSL", "PLAIN", "user", "s3cret", "ca.pem", "cert.pem", "key.pem", "k3y")
    assert "s3cret" not in repr(security)
    assert "k3y" not in repr(security)


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocol": "TLS"},
        {"protocol": "SASL_SSL", "mechanism": "MD5", "username": "u", "password": "p"},
        {"protocol": "SASL_SSL", "username": "u"},
    ],
)
def test_settings_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(SettingsError, match="kafka"):
        Security(**wrong)


def test_security_reaches_the_client():
    settings = common("h:1", Security("SASL_SSL", "SCRAM-SHA-256", "user", "pass", ca_file="ca.pem"))
    assert settings["security_protocol"] == "SASL_SSL"
    assert settings["sasl_mechanism"] == "SCRAM-SHA-256"
    assert (settings["sasl_plain_username"], settings["sasl_plain_password"]) == ("user", "pass")
    assert settings["ssl_cafile"] == "ca.pem"
    assert "sasl_mechanism" not in common("h:1", Security("SSL"))
    assert "security_protocol" not in common("h:1", None)


def test_the_embedded_log_imports_no_client(tmp_path):
    code = (
        "import sys; from pipelines.log import open_log; open_log(sys.argv[1]).close(); "
        "heavy = {'kafka', 'confluent_kafka', 'pandas', 'statsmodels', 'mlflow', 'sqlalchemy'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code, f"embedded:{tmp_path / 'log.db'}"], check=True)
