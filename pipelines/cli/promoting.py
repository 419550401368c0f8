"""`forecast models promote|rollback`: who serves a fleet, changed in one command."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipelines.cli import log_options, options
from pipelines.cli.output import tell
from pipelines.cli.show import show_json

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.store import ChampionRow, Store

F = TypeVar("F", bound=Callable[..., Any])


def _shared(command: F) -> F:
    """Add what both commands take."""
    for option in (
        options.as_json,
        click.option("--no-track", is_flag=True, help="Do not tell MLflow; `retrain --due` does."),
        click.option("--control", default="model-control", show_default=True, metavar="TOPIC",
                     help="Of promotions."),
        log_options.service,
        options.settings,
        click.option("--force", is_flag=True,
                     help="Also a version that was rejected, or is on another grid."),
        click.option("--reason", default="", help="Kept with the promotion, for those who ask why."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command("promote")
@click.argument("model")
@_shared
def promote(model: str, reason: str, force: bool, **asked: Any) -> None:  # noqa: ANN401  # options
    """Make a version the champion: MODEL is FLEET@NUMBER, or the beginning of its sha256.

    The version is read back and its certificate checked first. Running streams are told where a log is named
    (--log, --bootstrap, or kafka_bootstrap of the settings), and take it with the next message.
    """
    from pipelines.model_names import find_version
    from pipelines.retrain.promote import promote as move

    def act(store: Store) -> tuple[ChampionRow | None, ChampionRow]:
        row = find_version(store, model)
        before = store.champion(row.fleet)
        text = reason or "by hand"
        return before, move(store, row.fleet, row, reason=text, force=force, by_hand=True)

    _run(act, asked)


@click.command("rollback")
@click.argument("fleet")
@click.option("--to", metavar="N", help="Version to go back to; else the champion before.")
@_shared
def rollback(fleet: str, to: str | None, reason: str, force: bool, **asked: Any) -> None:  # noqa: ANN401
    """Go back to the champion before, or to --to N: the pointer moves, no version is changed."""
    from pipelines.retrain.promote import rollback as move

    def act(store: Store) -> tuple[ChampionRow | None, ChampionRow]:
        return store.champion(fleet), move(store, fleet, to, reason, force=force)

    _run(act, asked)


def _run(act: Callable[[Store], tuple[ChampionRow | None, ChampionRow]], asked: dict[str, Any]) -> None:
    """Move the pointer, tell the stream, say who serves now, and tell MLflow last: it may take seconds."""
    from pipelines.settings import load_settings
    from pipelines.store import open_store

    settings = load_settings(
        asked["config"],
        store_url=asked["store"],
        tracking_uri=asked["tracking"],
        kafka_client=asked["client"],
    )
    with open_store(settings.store()) as store:
        store.require_current()
        before, now = act(store)
        failed = _announce(settings, store, now.fleet, asked)
        _say(store, before, now.fleet, as_json=asked["as_json"])
        if not asked["no_track"]:
            _mirror(settings, store, now.fleet)
    if failed is not None:
        raise failed


def _announce(settings: Settings, store: Store, fleet: str, asked: dict[str, Any]) -> Exception | None:
    """Tell the stream; return what went wrong. The promotion stands: the same command again tells it."""
    from pipelines.errors import LogError
    from pipelines.retrain.announce import announce

    if not (asked["log_file"] or asked["bootstrap"] or settings.kafka_bootstrap):
        tell(
            "streams are not told yet, for no log is named: --log or --bootstrap; "
            "else the next `forecast retrain --due` with a log tells them"
        )
        return None
    try:
        with log_options.connected(settings, asked, make=False) as log:
            announce(store, log, asked["control"], fleet)
    except LogError as error:
        return LogError(
            f"{error}; the champion is changed and streams are not told: run this again", retriable=True
        )
    return None


def _mirror(settings: Settings, store: Store, fleet: str) -> None:
    """Tell MLflow; what it misses is said, and told by the next `forecast retrain --due`."""
    from forecast.errors import InputError
    from pipelines.errors import TrackingError
    from pipelines.retrain.mirror import mirror

    try:
        mirror(store, settings.tracking_uri, fleet=fleet, timeout_s=settings.tracking_timeout_s)
    except (TrackingError, InputError) as error:
        tell(f"MLflow was not told: {error}; the next `forecast retrain --due` tries again")


def _say(store: Store, before: ChampionRow | None, fleet: str, *, as_json: bool) -> None:
    now = store.champion(fleet)
    if now is None:
        return
    changed = before is None or before.version.id != now.version.id
    found = {
        "fleet": fleet,
        "serves": now.version.ver,
        "version": now.version.version,
        "before": None if before is None else before.version.ver,
        "changed": changed,
        "row_version": now.row_version,
        "ts": datetime.fromtimestamp(now.changed_ts_ms / 1000, UTC).isoformat(timespec="seconds"),
        "announced": now.announced >= now.row_version,
    }
    if as_json:
        show_json(found)
        return
    was = "" if before is None or not changed else f", in place of {before.version.name}"
    since = f" since {found['ts']}" if not changed else ""
    told = "streams were told" if found["announced"] else "streams were not told"
    click.echo(f"{now.version.name} ({now.version.version[:12]}) serves {fleet} now{since}{was}; {told}")
