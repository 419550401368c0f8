"""Settings of the services: `forecast.toml`, overruled by `FORECAST_*` variables, by options of a command."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from forecast.errors import nearest
from pipelines.errors import SettingsError

PREFIX: Final = "FORECAST_"
CONFIG: Final = "FORECAST_CONFIG"
FILE: Final = "forecast.toml"

_PASSWORD = re.compile(r"(?<=://)([^/:@]*):(.+)@")
_QUERY = re.compile(r"([?&][^=&]*(?:password|secret|token)[^=&]*=)[^&]*", re.IGNORECASE)


class Settings(BaseSettings):
    """What a service has to know about its surroundings; frozen."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_ignore_empty=True, hide_input_in_errors=True
    )

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
    jobs: int = Field(default=-1, ge=-1)
    """Threads; -1 for all cores."""
    tracking_timeout_s: float = Field(default=60.0, gt=0)
    """A job waits no longer than this for MLflow."""
    lease_ttl_s: float = Field(default=120.0, gt=0)
    """A fleet stays locked for so long after its trainer was killed."""
    hot_window: int = Field(default=64, ge=0)
    """Last points of every series that go into the store."""
    sql_rows: int = Field(default=1_000_000, ge=0)
    """Most rows of observations, and of forecasts, that one job writes to the store; more stay in Parquet."""
    sql_versions: int = Field(default=5, ge=1)
    """Versions of a fleet whose forecasts and scores stay in the store; those of the champion always do."""

    def store(self) -> str:
        """Return the URL of the store with its password, for the driver; never print it."""
        return with_password(self.store_url, self.store_password)

    def source(self) -> str | None:
        """Return the URL of the source with its password, for the driver; never print it."""
        return None if self.source_url is None else with_password(self.source_url, self.source_password)

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
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"settings: {wrong}") from None


def masked(url: str) -> str:
    """Return a URL without its password."""
    return _QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))


def with_password(url: str, password: SecretStr | None) -> str:
    """Put a password into a URL that names a user only."""
    from urllib.parse import quote

    if password is None or _PASSWORD.search(url):
        return url
    return re.sub(
        r"(?<=://)([^/:@]+)@",
        lambda m: f"{m[1]}:{quote(password.get_secret_value(), safe='')}@",
        url,
        count=1,
    )


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    known = {f"{PREFIX}{name.upper()}": name for name in Settings.model_fields}
    found = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name == CONFIG:
            continue
        if name not in known:
            raise SettingsError(f"unknown variable {name}{nearest(name, [*known, CONFIG])}")
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
            variable = f"{PREFIX}{key.removesuffix('_url').removesuffix('_password').upper()}_PASSWORD"
            raise SettingsError(f"{path}: {key} holds a password; take it out and set {variable}")
    return found
