"""`forecast models list|show|promote|rollback|backfill`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli import options
from pipelines.cli.backfilling import backfill
from pipelines.cli.promoting import promote, rollback
from pipelines.cli.show import show_frame, show_json

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.store import PromotionRow, Store, VersionRow


@click.group("models", short_help="List, show, promote and roll back the model versions of the store.")
def command() -> None:
    """List, show, promote and roll back the model versions of the store."""


command.add_command(backfill)
command.add_command(promote)
command.add_command(rollback)


@command.command("list")
@click.option("--fleet", help="Of this fleet only.")
@options.settings
@options.as_json
def list_versions(
    fleet: str | None, config: str | None, store: str | None, tracking: str | None, as_json: bool
) -> None:
    """List versions: fleet, number, state, series, when, and their run in MLflow; * marks the champion."""
    import pandas as pd

    with _open(config, store, tracking) as opened:
        rows = [_row(opened, version) for version in opened.versions(fleet)]
        where = opened.url
    if as_json:
        show_json(rows)
    elif rows:
        frame = pd.DataFrame(rows)
        frame["champion"] = frame["champion"].map({True: "*", False: ""})
        frame["version"] = frame["version"].str.slice(0, 12)
        show_frame(frame.drop(columns="folder").fillna("-"), f"{len(rows)} versions in {where}")
    else:
        click.echo(f"no versions in {where}")


@command.command("show")
@click.argument("model")
@options.settings
@options.as_json
def show(model: str, config: str | None, store: str | None, tracking: str | None, as_json: bool) -> None:
    """Show one version and its trail: what drifted, who judged it and how, when it served, and why.

    MODEL is FLEET@NUMBER, FLEET@champion, or the beginning of its sha256.
    """
    from pipelines.model_names import find_version
    from pipelines.retrain.trail import lines, trail

    with _open(config, store, tracking) as opened:
        row = find_version(opened, model)
        history = trail(opened, row.fleet, row.version)
        found: dict[str, Any] = {**_details(opened, row), "trail": history.to_json()}
    if as_json:
        show_json(found)
        return
    for name, value in found.items():
        if not isinstance(value, list | dict):
            click.echo(f"{name:<12} {'-' if value is None else value}")
    for one in found["models"]:
        click.echo(
            f"model        {one['alias']}: {one['spec']}; {one['chunks']} chunks, {one['bytes']} bytes"
        )
    for ancestor in found["ancestors"]:
        click.echo(f"parent       {ancestor}")
    for about, line in lines(history):
        click.echo(f"{about:<12} {line}")
    if found["metrics"]:
        show_frame(_metrics(found["metrics"]), "mean over the fleet, by model")


def _open(config: str | None, store: str | None, tracking: str | None) -> Store:
    from pipelines.settings import load_settings
    from pipelines.store import open_store

    opened = open_store(load_settings(config, store_url=store, tracking_uri=tracking).store())
    opened.require_current()
    return opened


def _row(store: Store, version: VersionRow) -> dict[str, Any]:
    champion = store.champion(version.fleet)
    return {
        "fleet": version.fleet,
        "ver": version.ver,
        "champion": champion is not None and champion.version.id == version.id,
        "state": version.state,
        "series": version.n_series,
        "models": ", ".join(str(model["alias"]) for model in version.models),
        "added": _time(version.added_ts_ms),
        "mlflow": version.mlflow_run_id,
        "version": version.version,
        "folder": version.artifact_uri,
    }


def _details(store: Store, version: VersionRow) -> dict[str, Any]:
    chunks = store.chunks(version)
    champion = store.champion(version.fleet)
    found = _row(store, version) | {
        "freq": version.freq,
        "tz": version.tz,
        "mlflow_version": version.mlflow_version,
        "row_version": champion.row_version if champion is not None else None,
    }
    found["models"] = [
        {
            "alias": model["alias"],
            "spec": model["spec"],
            "chunks": len(chunks[model["alias"]]),
            "bytes": sum(chunk.bytes for chunk in chunks[model["alias"]]),
        }
        for model in version.models
    ]
    return found | {
        "ancestors": _ancestors(store, version),
        "metrics": dict(version.metrics or {}),
        "promotions": [_promotion(one) for one in store.promotions(version.fleet)],
    }


def _promotion(one: PromotionRow) -> dict[str, Any]:
    return {
        "row_version": one.row_version,
        "ver": one.ver,
        "previous_ver": one.previous_ver,
        "ts": _time(one.ts_ms),
        "reason": one.reason,
    }


def _metrics(metrics: dict[str, Any]) -> pd.DataFrame:
    """Return a row a model and a column a score; the version has more, see --json."""
    import pandas as pd

    rows = [
        {
            "model": alias,
            **{name.removesuffix("_mean"): v for name, v in found.items() if name.endswith("_mean")},
        }
        for alias, found in metrics.items()
    ]
    return pd.DataFrame(rows)


def _time(ts_ms: int) -> str:
    return datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(timespec="seconds")


def _ancestors(store: Store, version: VersionRow) -> list[str]:
    from pipelines.retrain.line import line

    return [f"{row.name} {row.version}" for row in line(store, version)[-2::-1]]
