"""`forecast db upgrade | check | downgrade`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipelines.cli import options
from pipelines.cli.show import show_json

if TYPE_CHECKING:
    from pipelines.store import SchemaReport, Store

F = TypeVar("F", bound=Callable[..., Any])


def _where(command: F) -> F:
    """Add what names the store."""
    for option in (
        click.option("--store", metavar="URL", help="Store: sqlite:///FILE or postgresql+psycopg://..."),
        click.option(
            "--config", type=click.Path(dir_okay=False), help="Settings; forecast.toml if left out."
        ),
    ):
        command = option(command)
    return command


@click.group("db", short_help="Upgrade, check or downgrade the store's schema.")
def command() -> None:
    """Upgrade, check or downgrade the schema of the store.

    Nothing is changed halfway, and several may upgrade at once: one does it, the others wait.
    """


@command.command("upgrade")
@click.argument("revision", default="head")
@_where
@options.as_json
def upgrade(revision: str, config: str | None, store: str | None, as_json: bool) -> None:
    """Bring the store to REVISION, by default the one of this program; an SQLite file is made if needed."""
    with _open(config, store) as opened:
        before, after = opened.upgrade(revision)
        _say(opened, before, after, as_json)


@command.command("check")
@_where
@options.as_json
@click.pass_context
def check(ctx: click.Context, config: str | None, store: str | None, as_json: bool) -> None:
    """Say whether the store has the schema that this program needs; exit 1 when it has not."""
    with _open(config, store) as opened:
        report = opened.check()
        if as_json:
            show_json(
                {
                    "store": opened.url,
                    "state": report.state,
                    "found": report.found,
                    "wanted": report.wanted,
                    "behind": report.behind,
                    "differences": list(report.differences),
                }
            )
        else:
            click.echo(f"{opened.url}: {_verdict(report)}")
            for difference in report.differences:
                click.echo(f"  {difference}")
    ctx.exit(0 if report.ok else 1)


@command.command("downgrade")
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Go on where rows would be dropped.")
@_where
@options.as_json
def downgrade(revision: str, yes: bool, config: str | None, store: str | None, as_json: bool) -> None:
    """Bring the store back to REVISION, or to "base": no tables."""
    with _open(config, store) as opened:
        if not yes:
            _ask_for_yes(opened)
        before, after = opened.downgrade(revision)
        _say(opened, before, after, as_json)


def _open(config: str | None, store: str | None) -> Store:
    from pipelines.settings import load_settings
    from pipelines.store import open_store

    return open_store(load_settings(config, store_url=store).store())


def _ask_for_yes(store: Store) -> None:
    filled = store.tables_with_rows()
    if filled:
        raise click.UsageError(f"there are rows in {', '.join(filled)}, which may be dropped; give --yes")


def _say(store: Store, before: str | None, after: str | None, as_json: bool) -> None:
    if as_json:
        show_json({"store": store.url, "from": before, "to": after})
    elif before == after:
        click.echo(f"{store.url}: is at {after or 'no tables'} already")
    else:
        click.echo(f"{store.url}: {before or 'no tables'} -> {after or 'no tables'}")


def _verdict(report: SchemaReport) -> str:
    if report.state == "newer":
        known = f"which knows up to {report.wanted}"
        return f"{report.found} is newer than this program, {known}; install the release that upgraded it"
    if report.state != "current":
        found = report.found or "no tables"
        return f"{found}, {report.behind} behind {report.wanted}; run `forecast db upgrade`"
    if report.differences:
        return f"{report.found}, but its tables are not as this program describes them:"
    return f"{report.found} is current"
