"""`forecast demo`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from pipelines.cli import options
from pipelines.cli.show import show_json
from pipelines.demo.device import OnDevice, Skipped
from pipelines.demo.run import Room, run_demo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.demo.loop import Alarm, Judged, Looped
    from pipelines.demo.run import Outcome
    from pipelines.demo.streaming import Streamed


@click.command("demo", short_help="Check, fit, backtest and forecast real data; write pictures.")
@click.option(
    "--out", type=click.Path(file_okay=False), default="demo-output", show_default=True, help="Folder."
)
@options.as_json
def command(out: str, as_json: bool) -> None:
    """Train six real data sets: check, fit, backtest, forecast, register, log; write pictures and forecasts.

    The data ship inside statsmodels: CO2 (with its gaps), sunspots, El Nino, the Nile, US macro data (with
    regressors), electrical equipment. The last points of each are held out and forecast. Then CO2 once
    more, as a stream of ticks through an embedded log; the Nile year by year, whose flow fell in 1899: the
    drift is noticed, a refit promoted, and the stream goes on with it; and one champion as a signed bundle,
    installed by the device runtime in an environment of its own (pip fetches numpy and onnxruntime; offline
    this is skipped).
    """
    from pipelines.demo.device import run_device
    from pipelines.demo.loop import run_loop
    from pipelines.demo.streaming import run_stream

    folder = Path(out)
    if as_json:
        outcomes = run_demo(folder)
        found: list[dict[str, object]] = [_plain(outcome) for outcome in outcomes]
        device = run_device(Room(folder), folder / "edge", outcomes[-1].dataset)
        streamed = run_stream(folder / "stream")
        found.append({"looped": asdict(run_loop(folder / "loop"))})
        show_json([*found, {"device": asdict(device)}, {"streamed": asdict(streamed)}])
        return
    console = Console()
    with console.status("reading") as status:
        outcomes = run_demo(folder, lambda name: status.update(f"{name}: check, backtest, fit, forecast"))
        status.update("co2: streaming")
        streamed = run_stream(folder / "stream")
        looped = run_loop(folder / "loop", lambda what: status.update(f"the loop: {what}"))
        status.update("a champion as a bundle, on a device with numpy and onnxruntime only")
        device = run_device(Room(folder), folder / "edge", outcomes[-1].dataset)
    _print(console, outcomes, folder)
    _tell_stream(streamed)
    _tell_loop(looped)
    _tell_device(device)


def _print(console: Console, outcomes: Sequence[Outcome], folder: Path) -> None:
    first = Table(title="What the data are, and what was fitted", title_justify="left", header_style="bold")
    for name in ("data", "points", "missing", "verdict", "status", "model", "roots outside"):
        first.add_column(name, justify="right" if name in ("points", "missing") else "left")
    for o in outcomes:
        root = "yes" if o.report["roots_outside"] else "NO"
        first.add_row(
            o.dataset.name, str(o.check["n"]), str(o.check["n_missing"]), o.check["verdict"],
            o.report["status"], o.report["order"], root,
        )  # fmt: skip
    console.print(first)
    console.print(_scores(outcomes, "Backtest: mean absolute scaled error over 3 rolling origins", "mase"))
    console.print(_scores(outcomes, "The points held out: mean absolute scaled error", "held_out"))
    for o in outcomes:
        if o.report["message"]:
            console.print(f"  {o.dataset.name}: {o.report['message']}")
    _tell_where(outcomes, folder)


def _scores(outcomes: Sequence[Outcome], title: str, which: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", caption="lower is better")
    models = ["AutoAR", "Naive", "SeasonalNaive", "Drift"]
    table.add_column("data")
    for name in models:
        table.add_column(name, justify="right")
    held_out = which == "held_out"
    table.add_column("inside 95 %" if held_out else "seconds", justify="right")
    for o in outcomes:
        scores: dict[str, float] = getattr(o, which)
        best = min(scores.values())
        cells = [_mark(scores[m], best) if m in scores else "-" for m in models]
        table.add_row(o.dataset.name, *cells, f"{o.coverage:.0%}" if held_out else f"{o.seconds:.1f}")
    return table


def _mark(score: float, best: float) -> str:
    return f"[bold green]{score:.2f}[/]" if score == best else f"{score:.2f}"


def _tell_where(outcomes: Sequence[Outcome], folder: Path) -> None:
    click.echo(f"\nEverything is in {folder}/: for each data set")
    click.echo("  forecast.png   history, forecast, 80 and 95 % bands, and what came")
    click.echo("  forecasts.csv  the numbers")
    if not any(path.suffix == ".png" for o in outcomes for path in o.files):
        click.echo("  (no pictures: matplotlib is missing; pip install 'forecast-platform[plot]')")
    room = Room(folder)
    click.echo("\nLook into the store, and forecast from it:")
    click.echo(f"  forecast models list --store {room.store_url}")
    click.echo(f"  forecast predict elnino@champion --store {room.store_url} --horizon 12")
    unlogged = [o.not_logged for o in outcomes if o.not_logged is not None]
    if unlogged:
        click.echo(f"\nMLflow does not know of {len(unlogged)} jobs: {unlogged[0]}")
        return
    click.echo("\nCompare the runs, or open MLflow in a browser:")
    click.echo(f"  forecast compare elnino --tracking {room.tracking_uri}")
    click.echo(f"  mlflow ui --backend-store-uri {room.tracking_uri}")


def _tell_stream(streamed: Streamed) -> None:
    click.echo(
        f"\nThe same as a stream, through an embedded log: {streamed.ticks:,} weeks of {streamed.data}, and "
        f"{streamed.imputed} missing ones filled;\n{streamed.forecasts:,} forecasts, each once, in "
        f"{streamed.seconds:.1f} s. One week ahead: mean absolute error {streamed.error:.2f} "
        f"(last value: {streamed.naive_error:.2f}), {streamed.coverage:.0%} inside 95 %."
    )
    click.echo(f"  forecast tail --log {streamed.log} --from start --no-follow")


def _tell_loop(looped: Looped) -> None:
    click.echo(
        f"\nThe loop, on the flow of the Nile, trained to {looped.trained_to} and then sent year by year:"
    )
    told = [(one.year, f"drift: {one.detector} {_beyond(one)}") for one in looped.alarms]
    told += [(one.year, _judged(one)) for one in looped.jobs]
    told += [
        (year, f"the stream forecasts with {name}")
        for name, year in zip(looped.versions[1:], looped.swapped, strict=False)
    ]
    for year, text in sorted(told, key=lambda one: one[0]):  # within a year in the order above
        click.echo(f"  {year}  {text}")
    click.echo(
        f"One year ahead, since then: mean absolute error {looped.error:.0f}; "
        f"{looped.frozen_error:.0f} had {looped.versions[0]} gone on."
    )
    if looped.picture is not None:
        click.echo(f"  {looped.picture}")
    click.echo(f"  forecast models show {looped.versions[-1]} --store {looped.store}")


def _beyond(alarm: Alarm) -> str:
    return f"{alarm.statistic:.1f}, beyond {alarm.threshold:.1f}"


def _judged(job: Judged) -> str:
    if job.outcome == "promoted":
        return f"{job.version} is champion"
    if job.version is None:
        return f"refitted and judged, the champion stays: {job.why}"
    p = "" if job.p_value is None else f", p = {job.p_value:.3f}"
    gain = "" if job.gain is None else f", {job.gain:.0%} smaller errors"
    return f"refitted as {job.version}: {job.why}{gain}{p}"


def _tell_device(device: OnDevice | Skipped) -> None:
    if not isinstance(device, OnDevice):
        click.echo(f"\nA champion on a device: skipped: {device.reason}")
        return
    click.echo(
        f"\nThe champion of {device.fleet} as a bundle of {device.bytes:,} bytes, signed by "
        f"{device.key_id},\nin an environment with {device.packages} alone:\nits forecasts differ from the "
        f"library's by {device.difference:.1e} of their size."
    )
    for line in device.said:
        click.echo(f"  {line}")
    for line in device.commands:
        click.echo(f"  {line}")


def _plain(outcome: Outcome) -> dict[str, object]:
    return {
        "data": outcome.dataset.name,
        "verdict": outcome.check["verdict"],
        "status": outcome.report["status"],
        "model": outcome.report["order"],
        "mase_backtest": outcome.mase,
        "mase_held_out": outcome.held_out,
        "coverage_95": outcome.coverage,
        "files": [str(path) for path in outcome.files],
    }
