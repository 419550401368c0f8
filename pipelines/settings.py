"""Settings of the services: `forecast.toml`, overruled by `FORECAST_*` variables, by options of a command."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from forecast.errors import nearest
from pipelines.errors import SettingsError
from pipelines.masking import has_password, masked

if TYPE_CHECKING:
    from pipelines.log.security import Security

__all__ = ["CONFIG", "FILE", "PREFIX", "Settings", "load_settings", "masked", "with_password"]

PREFIX: Final = "FORECAST_"
CONFIG: Final = "FORECAST_CONFIG"
FILE: Final = "forecast.toml"

# Read elsewhere: the width of SIMD vectors, by the kernels.
_OTHERS: Final = frozenset({CONFIG, "FORECAST_SIMD_WIDTH"})

# A day: what waits or holds longer was not meant.
_MOST_S: Final = 86_400.0


class Settings(BaseSettings):
    """What a service has to know about its surroundings; frozen."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    store_url: str = "sqlite:///forecast.db"
    """SQLAlchemy URL of the store."""
    store_password: SecretStr | None = None
    """Put into `store_url` where that names a user only; environment only."""
    source_url: str | None = None
    """Database that `forecast train --sql` reads."""
    source_password: SecretStr | None = None
    tracking_uri: str = "sqlite:///mlflow.db"
    """MLflow: a file store or a server."""
    model_root: Path = Path("models")
    """Folder of model versions: FLEET/VERSION."""
    history_root: Path = Path("history")
    """Folder of snapshots of the input, in partitioned Parquet: FLEET/DIGEST."""
    run_root: Path = Path("runs")
    """Folder of jobs: RUN_ID."""
    log_path: Path = Path("stream.db")
    """The embedded log of the stream."""
    kafka_bootstrap: str | None = None
    """Brokers of Kafka: HOST:PORT,HOST:PORT."""
    kafka_client: Literal["kafka-python", "confluent"] = "kafka-python"
    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    """Environment only."""
    kafka_ca_file: str | None = None
    """Certificates of who may sign a broker's, PEM; left out, those of the system."""
    kafka_cert_file: str | None = None
    """With `kafka_key_file` this client's own, PEM."""
    kafka_key_file: str | None = None
    kafka_key_password: SecretStr | None = None
    """Environment only."""
    kafka_check_hostname: bool = True
    jobs: int = Field(default=-1, ge=-1, le=4096)
    """Threads; -1 for all cores."""
    tracking_timeout_s: float = Field(default=60.0, gt=0, le=_MOST_S, allow_inf_nan=False)
    """A job waits no longer than this for MLflow."""
    lease_ttl_s: float = Field(default=120.0, gt=0, le=_MOST_S, allow_inf_nan=False)
    """A fleet stays locked for so long after its trainer was killed."""
    hot_window: int = Field(default=64, ge=0, le=1_000_000)
    """Last points of every series that go into the store."""
    sql_rows: int = Field(default=1_000_000, ge=0, le=1_000_000_000)
    """Most rows that one job writes: more forecasts or scores stay in Parquet, the window becomes shorter."""
    sql_versions: int = Field(default=5, ge=1, le=1_000_000)
    """Versions of a fleet whose forecasts and scores stay in the store; those of the champion always do."""
    drift_arl0: float = Field(default=1_440_000.0, ge=100, le=1e9, allow_inf_nan=False)
    """Ticks between two false alarms of one detector of one series."""
    drift_cooldown_ticks: int = Field(default=48, ge=0, le=1_000_000)
    """After an alarm of a series no further one is told for so many of its ticks."""
    drift_fleet_share: float = Field(default=0.2, gt=0, le=1, allow_inf_nan=False)
    """When this share of the series alarms together it is a fault of the feed, and nothing is refitted."""
    retrain_alpha: float = Field(default=0.05, gt=0, le=0.5, allow_inf_nan=False)
    """A challenger must be better at this level of significance."""
    retrain_folds: int = Field(default=8, ge=2, le=1_000)
    """Origins on which champion and challenger are compared."""
    retrain_attempts: int = Field(default=5, ge=1, le=100)
    """Runs of a job that fail before it is dead."""
    retrain_backoff_s: float = Field(default=30.0, gt=0, le=_MOST_S, allow_inf_nan=False)
    """Before a job that failed is tried again; doubled each time, a day at most."""
    shadow_ticks: int = Field(default=24, ge=0, le=1_000_000)
    """Live ticks of a series on which a challenger must hold before it is promoted; 0: none."""
    schedules: dict[str, str] = Field(default_factory=dict)
    """Fleets to be refitted by the clock, in UTC: ``FLEET = "0 3 * * *"``."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load_settings` found, and nothing beside it."""
        return (init_settings,)

    def store(self) -> str:
        """Return the URL of the store with its password, for the driver; never print it."""
        return with_password(self.store_url, self.store_password)

    def source(self) -> str | None:
        """Return the URL of the source with its password, for the driver; never print it."""
        return None if self.source_url is None else with_password(self.source_url, self.source_password)

    def security(self) -> Security:
        """Return how a client of Kafka proves who it is; `SettingsError` where something is missing."""
        from pipelines.log.security import Security

        return Security(
            self.kafka_protocol,
            self.kafka_mechanism,
            self.kafka_username,
            _open(self.kafka_password),
            self.kafka_ca_file,
            self.kafka_cert_file,
            self.kafka_key_file,
            _open(self.kafka_key_password),
            self.kafka_check_hostname,
        )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Pairs for `repr`, without passwords."""
        for name, value in super().__repr_args__():
            yield name, masked(value) if isinstance(value, str) else value


def load_settings(
    config: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    **overrides: Any,  # noqa: ANN401  # checked against the fields
) -> Settings:
    """Return the settings of this process.

    Parameters
    ----------
    config
        TOML file; left out, ``FORECAST_CONFIG``, else ``forecast.toml`` in the current folder if it is there.
    environ
        Left out, that of the process.
    overrides
        Options of a command; None means not given.

    Raises
    ------
    SettingsError
        An unknown key or ``FORECAST_*`` variable (the nearest known one is named), a value that cannot be
        used, a password in the file, or a file that cannot be read.
    """
    environ = os.environ if environ is None else environ
    variables = _variables(environ)
    values = {**_read(config or environ.get(CONFIG)), **variables}
    values |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(**values)
    except ValidationError as error:
        wrong = "; ".join(_told(dict(each)) for each in error.errors())
        raise SettingsError(f"settings: {wrong}") from None


def _told(error: Mapping[str, Any]) -> str:
    """Return a line of pydantic's, with the value where it is that of a number."""
    name = ".".join(map(str, error["loc"]))
    field = Settings.model_fields.get(name)
    got = f", got {error['input']!r}" if field is not None and field.annotation in (int, float) else ""
    return f"{name}: {error['msg']}{got}"


def with_password(url: str, password: SecretStr | None) -> str:
    """Put a password into a URL that names a user only."""
    from urllib.parse import quote

    if password is None or has_password(url):
        return url
    return re.sub(
        r"(?<=://)([^/:@]+)@",
        lambda m: f"{m[1]}:{quote(password.get_secret_value(), safe='')}@",
        url,
        count=1,
    )


def _open(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    known = {f"{PREFIX}{name.upper()}": name for name in Settings.model_fields}
    found = {}
    for name, value in environ.items():
        if name in _OTHERS:
            continue
        if not name.startswith(PREFIX):
            if name.upper() in {*known, *_OTHERS}:
                raise SettingsError(f"the variable {name} is not read; write {name.upper()}")
            continue
        if name not in known:
            raise SettingsError(f"unknown variable {name}{nearest(name, [*known, *sorted(_OTHERS)])}")
        if value:
            found[known[name]] = value
    return found


def _read(config: str | Path | None) -> dict[str, Any]:
    path = Path(config or FILE)
    if config is None and not path.exists():
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    for key, value in found.items():
        if key not in Settings.model_fields:
            raise SettingsError(f"{path}: unknown key {key!r}{nearest(key, Settings.model_fields)}")
        if key.endswith("_password") or (isinstance(value, str) and masked(value) != value):
            own = f"{key.removesuffix('_url').removesuffix('_password')}_password"
            variable = f"{PREFIX}{(own if own in Settings.model_fields else key).upper()}"
            raise SettingsError(f"{path}: {key} holds a password; take it out and set {variable}")
    return found
