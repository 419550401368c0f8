"""`forecast retrain`."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from pipelines.cli import log_options, options
from pipelines.cli.output import reader_may_leave, tell
from pipelines.cli.show import show_frame, show_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelines.retrain.due import Counts
    from pipelines.retrain.source import Source
    from pipelines.settings import Settings
    from pipelines.store import JobRow, Store

# Exit codes of a worker whose jobs are all run: one is dead; or a champion was not told of everywhere.
DEAD: Final = 1
NOT_TOLD: Final = 3
# EX_TEMPFAIL: it was asked to stop before all was done, or a job that failed is to be tried again.
LATER: Final = 75

# Jobs that --list shows, the newest.
_LISTED: Final = 50

_OUTCOMES: Final = {
    "promoted": "promoted",
    "passed": "passed, to be promoted",
    "kept": "champion stays",
    "backfilled": "backfilled",
    "waits": "in the shadow",
    "again": "to be judged anew",
    "failed": "failed, tried again later",
    "dead": "dead",
    "lost": "taken over by another worker",
    "stopped": "stopped",
}


@click.command("retrain", short_help="Refit what drifted, and promote what is better.")
@click.option("--due", is_flag=True, help="Run what is due, and return when nothing is left.")
@click.option(
    "--watch", type=click.FloatRange(0.1, 86_400.0), metavar="SECONDS",
    help="Stay: look again after so many seconds.",
)  # fmt: skip
@click.option("--now", is_flag=True, help="Refit --series of --fleet, or all of it, without any drift.")
@click.option("--list", "as_list", is_flag=True, help="List the jobs, the newest last.")
@click.option("--retry", type=int, metavar="ID", help="Let a dead job run again.")
@click.option("--fleet", callback=options.named, help="Of --now, --list and --input.")
@click.option("--series", multiple=True, help="Id of a series; may be repeated.")
@click.option("--input", "input_path", metavar="FILE", help="Read the data of --fleet from a file or folder.")
@click.option("--sql", metavar="QUERY", help="... or from the rows of this query.")
@click.option("--from", "source_url", metavar="URL", help="Database of --sql, as SQLAlchemy names it.")
@click.option(
    "--shadow-ticks", type=click.IntRange(0, 1_000_000),
    help="Live ticks on which a challenger must hold first; 0: none.",
)  # fmt: skip
@click.option("--max-jobs", type=click.IntRange(1), help="Return after so many.")
@click.option("--owner", callback=options.named, help="Name of this worker; by default machine and process.")
@click.option("--control", default="model-control", show_default=True, help="Topic that streams follow.")
@click.option("--no-track", is_flag=True, help="Do not mirror champions to MLflow.")
@click.option("--jobs", type=click.IntRange(-1), help="Threads; -1, the default, for all cores.")
@log_options.service
@options.settings
@options.log_format
@options.as_json
def command(
    as_json: bool, config: str | None, store: str | None, tracking: str | None, **asked: Any  # noqa: ANN401  # options
) -> None:  # fmt: skip
    """Refit the series that drifted, judge each refit against its champion, promote what is better.

    Jobs come from `forecast monitor`, from the schedules of the settings, and from --now. Any scheduler may
    call it, and any number may run at once: a job is committed once, whatever crashes. New champions are
    told to the control topic of --log or --bootstrap, or of the settings' Kafka, and to MLflow; of what could
    not be told the next call tells.

    Exit codes: 0 nothing is left to do; 1 a job failed for the last time, see --list; 2 wrong usage;
    3 done, but a champion could not be told of everywhere; 75 failed or stopped, run it again.
    """
    from pipelines.settings import load_settings

    _check(asked)
    settings = load_settings(
        config, store_url=store, tracking_uri=tracking, source_url=asked["source_url"], jobs=asked["jobs"],
        kafka_client=asked["client"], shadow_ticks=asked["shadow_ticks"],
    )  # fmt: skip
    if asked["as_list"]:
        _list(settings, asked["fleet"], as_json)
        return
    with _opened(settings) as opened:
        if asked["retry"] is not None:
            job = opened.retry_job(asked["retry"])
            tell(f"job {job.id} of {job.fleet} waits again")
        if asked["now"]:
            tell(f"job {_ask(opened, asked)} of {asked['fleet']} asked for")
    if not (asked["due"] or asked["now"] or asked["watch"]):
        return
    with _stopping() as stop:
        counts = _work(settings, asked, stop)
        stopped = stop.is_set() and asked["watch"] is None
    with reader_may_leave():
        _show(counts, as_json)
    code = _exit_code(counts, stopped)
    if code:
        click.get_current_context().exit(code)


def _check(asked: dict[str, Any]) -> None:
    """Refuse what makes no sense together."""
    wanted = ("due", "watch", "now", "as_list", "retry")
    if not any(asked[name] not in (None, False) for name in wanted):
        raise click.UsageError("say what to do: --due, --watch SECONDS, --now, --list or --retry ID")
    if asked["now"] and asked["fleet"] is None:
        raise click.UsageError("--now needs --fleet")
    if asked["series"] and not asked["now"]:
        raise click.UsageError("--series goes with --now")
    if asked["input_path"] is not None and asked["sql"] is not None:
        raise click.UsageError("--input and --sql both say where the data are; name one")
    if asked["source_url"] is not None and asked["sql"] is None:
        raise click.UsageError("--from is the database of --sql, which was not given")
    if (asked["input_path"] or asked["sql"]) and asked["fleet"] is None:
        raise click.UsageError("--fleet says whose data --input or --sql holds")
    if asked["as_list"] and any(asked[name] for name in ("due", "watch", "now", "retry")):
        raise click.UsageError("--list only lists")


@contextmanager
def _opened(settings: Settings) -> Iterator[Store]:
    from pipelines.store import open_store

    with open_store(settings.store()) as store:
        store.require_current()
        yield store


@contextmanager
def _stopping() -> Iterator[Any]:
    from pipelines.cli.stopping import asked_to_stop

    with asked_to_stop() as event:
        yield event


def _ask(store: Store, asked: dict[str, Any]) -> int:
    """Put a refit by hand into the queue; the same one that waits already is joined."""
    from pipelines.retrain.asking import ask

    return ask(
        store, asked["fleet"], asked["series"], input=asked["sql"] or _absolute(asked["input_path"]),
        sql=asked["sql"] is not None,
    )  # fmt: skip


def _absolute(path: str | None) -> str | None:
    """Return a path that another process, in another folder, reads as well."""
    return None if path is None else os.path.abspath(path)


def _work(settings: Settings, asked: dict[str, Any], stop: Any) -> Counts:  # noqa: ANN401  # an event
    from pipelines.cli.retrain_progress import watching
    from pipelines.retrain.due import run_due
    from pipelines.store import open_store

    owner = asked["owner"] or f"{socket.gethostname()}:{os.getpid()}"
    with _announcing(settings, asked) as announce, watching() as watcher:
        return run_due(
            settings, open_store, owner=owner, announce=announce, mirror=_mirror(settings, asked),
            record=_record(settings, asked), max_jobs=asked["max_jobs"], watch_s=asked["watch"], stop=stop,
            source=_source(settings, asked), source_fleet=asked["fleet"], watcher=watcher,
        )  # fmt: skip


def _source(settings: Settings, asked: dict[str, Any]) -> Source | None:
    from pipelines.retrain.source import Source

    if asked["sql"] is not None:
        return Source(asked["sql"], True, settings.source())
    return None if asked["input_path"] is None else Source(asked["input_path"])


@contextmanager
def _announcing(settings: Settings, asked: dict[str, Any]) -> Iterator[Callable[[Store], int] | None]:
    """Yield what tells the control topic of new champions; None where no log is named."""
    if asked["log_file"] is None and asked["bootstrap"] is None and settings.kafka_bootstrap is None:
        yield None
        return
    from pipelines.retrain.announce import announce

    def announce_all(store: Store) -> int:
        # Opened for each: a log that is down at the start, or breaks later, is no reason not to refit.
        with log_options.connected(settings, asked) as log:
            return announce(store, log, asked["control"])

    log_options.service_address(settings, asked["log_file"], asked["bootstrap"])  # wrong usage is told now
    yield announce_all


def _mirror(settings: Settings, asked: dict[str, Any]) -> Callable[[Store], int] | None:
    if asked["no_track"]:
        return None

    def mirror_all(store: Store) -> int:
        from pipelines.retrain.mirror import mirror

        return mirror(store, settings.tracking_uri, timeout_s=settings.tracking_timeout_s)

    return mirror_all


def _record(settings: Settings, asked: dict[str, Any]) -> Callable[[Store], int] | None:
    if asked["no_track"]:
        return None

    def record_all(store: Store) -> int:
        from pipelines.retrain.record import record

        return record(store, settings.tracking_uri, settings.tracking_timeout_s)

    return record_all


def _exit_code(counts: Counts, stopped: bool) -> int:
    if counts.of("dead"):
        return DEAD
    if stopped or counts.of("failed"):
        return LATER
    return NOT_TOLD if counts.untold else 0


def _show(counts: Counts, as_json: bool) -> None:
    if as_json:
        runs = [
            {
                "job": one.job_id, "fleet": one.fleet, "kind": one.kind, "outcome": one.outcome,
                "why": one.why, "version": one.version,
            }
            for one in counts.ended
        ]  # fmt: skip
        show_json({"runs": runs, "untold": counts.untold})
        return
    if not counts.ended:
        click.echo("nothing is due")
    for one in counts.ended:
        name = f" {one.version}" if one.version else ""
        click.echo(
            f"job {one.job_id:<5} {one.fleet}: {one.kind:<8}{name} {_OUTCOMES[one.outcome]}: {one.why}"
        )
    if len(counts.ended) > 1:
        found = {word: counts.of(outcome) for outcome, word in _OUTCOMES.items()}
        click.echo(", ".join(f"{n} {word}" for word, n in found.items() if n))
    for name, why in counts.untold.items():
        what = "retrains" if name == "record" else "champions"
        tell(f"{name}: not all {what} were told of, the next call tries again: {why}")


def _list(settings: Settings, fleet: str | None, as_json: bool) -> None:
    import pandas as pd

    from pipelines.store import mask

    with _opened(settings) as store:
        rows = [_job(store, row) for row in store.jobs(fleet, last=None if as_json else _LISTED)]
    if as_json:
        show_json(rows)
        return
    if not rows:
        click.echo(f"no jobs in {mask(settings.store())}")
        return
    frame = pd.DataFrame(rows)[["id", "fleet", "kind", "state", "attempts", "due", "series", "made", "told"]]
    show_frame(frame.fillna("-").tail(_LISTED), f"the last {len(rows)} jobs")


def _job(store: Store, row: JobRow) -> dict[str, Any]:
    from datetime import UTC, datetime

    def when(ts_ms: int | None) -> str | None:
        return (
            None if ts_ms is None else datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(timespec="seconds")
        )

    named = row.payload.get("series")
    keys = sorted({one.event.series_key for one in store.job_events(row.id) if one.event.series_key})
    series = (
        "all" if named == "all" or row.payload.get("kind") == "refit" else sorted({*keys, *(named or ())})
    )
    return {
        "id": row.id, "fleet": row.fleet, "kind": row.payload.get("kind"), "state": row.state,
        "attempts": row.attempts, "owner": row.owner, "due": when(row.run_after_ms),
        "created": when(row.created_ts_ms), "finished": when(row.finished_ts_ms),
        "series": series if isinstance(series, str) else ", ".join(series[:3])
        + (f" and {len(series) - 3} more" if len(series) > 3 else ""),
        "made": None if row.ver is None else f"{row.fleet}@{row.ver}", "version": row.version,
        "error": row.error, "note": row.note, "told": row.error or row.note,
    }  # fmt: skip
