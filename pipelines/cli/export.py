"""`forecast export`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli import options
from pipelines.cli.output import tell
from pipelines.cli.show import records, show_json

if TYPE_CHECKING:
    from pipelines.export.bundling import Done, LogBundle, Progress, Wanted
    from pipelines.settings import Settings
    from pipelines.train.work import Progress as Stages

# Exit code of an export that is done but for MLflow, as of `forecast train`.
NOT_LOGGED = 3
# Series left out that are named one by one.
_NAMED = 5


@click.command("export", short_help="Write a signed bundle of a model for small devices.")
@click.option("--model", required=True, help="FLEET@champion, FLEET@NUMBER, or the beginning of a version.")
@options.horizon
@click.option("--out", type=click.Path(file_okay=False), required=True, help="Folder to make.")
@click.option(
    "--key", type=click.Path(dir_okay=False), help="Private key, as `forecast export-key` makes it."
)
@click.option("--unsigned", is_flag=True, help="Without signature; no device takes it.")
@click.option(
    "--profile", type=click.Choice(["balanced", "latency", "size"]), default="balanced", show_default=True,
    help="What the closed form is best at.",
)  # fmt: skip
@click.option(
    "--prune", type=click.Choice(["off", "parcor", "lags"]), default="off", show_default=True,
    help="Leave out coefficients that forecasts do not need; lags needs --data.",
)  # fmt: skip
@click.option("--data", type=click.Path(dir_okay=False), help="The training data, for --prune lags.")
@options.level
@click.option("--alias", help="Of the model, where the version has several; the first if left out.")
@click.option("--name", help="Of the bundle; the fleet if left out.")
@click.option("--no-archive", is_flag=True, help="Leave the archive DIR.edge.zip out.")
@click.option("--overwrite", is_flag=True, help="Replace the bundle that is at DIR.")
@click.option("--no-track", is_flag=True, help="Do not log to MLflow.")
@options.settings
@options.log_format
@options.as_json
def command(
    out: str,
    key: str | None,
    data: str | None,
    level: tuple[float, ...],
    no_archive: bool,
    no_track: bool,
    config: str | None,
    store: str | None,
    tracking: str | None,
    as_json: bool,
    **asked: Any,  # noqa: ANN401  # the options that `Wanted` has too
) -> None:
    """Export a model: ONNX graphs, states, parity vectors, device runtime, manifest and signature.

    The bundle is read back before it is signed: every series must be stationary as the file decodes it, and
    answer as the library does. It gets the next number of its name, a row in the store and a run in MLflow.

    Exit codes: 0 done; 1 failed, needs a person; 2 wrong usage; 3 done, but not logged to MLflow; 75 failed,
    the same command can succeed later.
    """
    from pipelines.export.bundling import Wanted
    from pipelines.settings import load_settings

    settings = load_settings(config, store_url=store, tracking_uri=tracking)
    wanted = Wanted(
        out=Path(out), key=None if key is None else Path(key), data=None if data is None else Path(data),
        levels=level, archive=not no_archive, **asked,
    )  # fmt: skip
    done = _export(wanted, settings, track=not no_track)
    if as_json:
        show_json(plain(done))
    else:
        _print(done)
    if done.not_logged is not None:
        tell(f"not logged to MLflow: {done.not_logged}", logging.WARNING)
        click.get_current_context().exit(NOT_LOGGED)


def _export(wanted: Wanted, settings: Settings, track: bool) -> Done:
    from pipelines.cli.progress import showing_bars
    from pipelines.export.bundling import export_bundle

    with _ready(settings, track) as log_bundle, showing_bars() as stages:
        return export_bundle(wanted, settings, log_bundle, _shown(stages))


@contextmanager
def _ready(settings: Settings, track: bool) -> Iterator[LogBundle | None]:
    """Yield what logs the bundle; MLflow loads while the models are built."""
    if not track:
        yield None
        return
    from functools import partial

    from pipelines.errors import TrackingError
    from pipelines.tracking import Tracker, log_bundle

    with closing(Tracker(settings.tracking_uri)) as tracker:
        try:
            tracker.start()
        except TrackingError as error:
            if not error.retriable:
                raise  # before any work; anything else is tried again at the end
        yield partial(log_bundle, tracker=tracker)


def _shown(stages: Stages) -> Progress:
    """Return what tells `stages` how far an export is."""
    seen: dict[str, int] = {}

    def tell_stage(stage: str, done: int, total: int) -> None:
        if stage not in seen:
            stages.stage(stage, total)
            seen[stage] = 0
        for _ in range(min(done, total) - seen[stage]):
            stages.step()
            seen[stage] += 1

    return tell_stage


def plain(done: Done) -> dict[str, Any]:
    """Return what --json prints."""
    exported = done.exported
    return {
        "name": exported.name,
        "bundle_version": exported.bundle_version,
        "model": exported.model,
        "version": done.version.version,
        "fleet": done.version.fleet,
        "ver": done.version.ver,
        "profile": exported.profile,
        "digest": exported.digest,
        "key_id": exported.key_id,
        "folder": str(exported.path),
        "archive": None if exported.archive is None else str(exported.archive),
        "bytes": exported.size,
        "parity_err": exported.parity_err,
        "mlflow_run_id": done.run_id,
        "not_logged": done.not_logged,
        "series": records(exported.report),
    }


def _print(done: Done) -> None:
    exported, report = done.exported, done.exported.report
    there = report[report["status"] != "left out"]
    signed = "unsigned" if exported.key_id is None else f"signed by {exported.key_id}"
    click.echo(
        f"{exported.name} {exported.bundle_version}: {len(there)} series of {done.version.name}, {signed}"
    )
    counts = there.loc[there["status"] == "exported", "bits"].value_counts().sort_index()
    bits = [f"{count} at {bits} bits" for bits, count in counts.items()]
    bits += [f"{n} by the step alone" for n in [(there["status"] == "step only").sum()] if n]
    click.echo(f"  models    {', '.join(bits)}")
    before, kept = int(there["lags_before"].sum()), int(there["lags_kept"].sum())
    _print_pruned(before, kept, there.loc[there["reason"] != "", "reason"])
    pole, margin = there["max_pole_after"].max(), there["margin"].min()
    source = (
        "read back from the file"
        if (there["status"] == "exported").all()
        else ("read back from model.onnx, of the step those of the record")
    )
    click.echo(f"  poles     largest {pole:.6f}, margin {margin:.2g}, {source}")
    click.echo(f"  parity    within {exported.parity_err:.1e} of the library")
    _print_left_out(report[report["status"] == "left out"])
    click.echo(f"  folder    {exported.path}")
    if exported.archive is not None:
        click.echo(f"  archive   {exported.archive} ({exported.size:,} bytes)")


def _print_pruned(before: int, kept: int, notes: Any) -> None:  # noqa: ANN401  # a series of text
    if kept < before or len(notes):
        click.echo(f"  lags      {kept:,} of {before:,} kept")
    for reason, count in notes.value_counts().head(_NAMED).items():
        click.echo(f"            {count} not pruned: {reason}")


def _print_left_out(left: Any) -> None:  # noqa: ANN401  # a frame
    for row in left.head(_NAMED).itertuples():
        click.echo(f"  left out  {row.unique_id}: {row.reason}")
    if len(left) > _NAMED:
        click.echo(f"  left out  ... and {len(left) - _NAMED} more: use --json")
