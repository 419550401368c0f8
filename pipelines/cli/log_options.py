"""Which log a command reads or writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pipelines.log.protocol import Log
    from pipelines.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


def service(command: F) -> F:
    """Add what tells a service where its log is; what is left out is taken from the settings."""
    for option in (
        click.option(
            "--client", type=click.Choice(["kafka-python", "confluent"]),
            help="Of Kafka; kafka-python if left out.",
        ),
        click.option("--bootstrap", metavar="HOST:PORT,...", help="Brokers of Kafka."),
        click.option(
            "--log", "log_file", metavar="kafka|embedded|FILE",
            help="Kafka, or an embedded log: that of the settings, or in this SQLite file.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


config = click.option(
    "--config", type=click.Path(dir_okay=False), help="Settings; forecast.toml if left out."
)


def settings_of(where: Mapping[str, str | None]) -> Settings:
    """Return the settings, with what the options say."""
    from pipelines.settings import load_settings

    return load_settings(where["config"], kafka_client=where["client"])


def service_address(settings: Settings, log: str | None, bootstrap: str | None) -> str:
    """Return the address of a service's log; wrong usage where nothing says where it is."""
    from pipelines.log import EMBEDDED

    if log is None or log == "kafka":
        address = bootstrap or settings.kafka_bootstrap
        if address is None:
            raise click.UsageError("say where the log is: --bootstrap HOST:PORT, or --log embedded")
        return address
    if bootstrap is not None:
        raise click.UsageError(f"--bootstrap is for Kafka, and --log {log} is an embedded log")
    return f"{EMBEDDED}{settings.log_path if log == 'embedded' else log}"


@contextmanager
def connected(settings: Settings, asked: Mapping[str, Any], *, make: bool = True) -> Iterator[Log]:
    """Open a service's log, and close it with the block; an embedded one is made where `make` allows it."""
    from pipelines.log import open_log

    address = service_address(settings, asked["log_file"], asked["bootstrap"])
    log = open_log(address, security=settings.security(), client=settings.kafka_client, make=make)
    try:
        yield log
    finally:
        log.close()
