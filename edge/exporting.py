"""`edge.export`: a fitted model as a signed bundle for devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.bundle.keys import SigningKey
from edge.bundle.order import Order, Profile, Prune, default_name, key_of, levels_of, records_of, whole
from edge.runtime.manifest import ModelRef

if TYPE_CHECKING:
    import pandas as pd

    from forecast.api.fitted import Fitted
    from forecast.models.panel import Panel
    from forecast.models.records import Records

Progress = Callable[[str, int, int], None]
"""Called with a stage, the steps done, and all of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """A bundle that was written."""

    path: Path
    """Its folder."""
    archive: Path | None
    """The same as one file."""
    report: pd.DataFrame = field(repr=False)
    """One row a series: ``unique_id, status, bits, lags_before, lags_kept, max_pole_before, max_pole_after,
    margin, rmse_rise, reason``. `max_pole_after` and `margin` are read back from model.onnx; those of "step
    only" are the record's."""
    name: str
    bundle_version: int
    model: str
    """Alias."""
    profile: str
    digest: str
    """sha256 of the manifest: the name of the release on a device."""
    key_id: str | None
    """None: unsigned."""
    parity_err: float
    """Largest relative difference from the library that was measured."""
    size: int
    """Bytes of the archive, or of all files where there is none."""
    opset: int


def export(
    fitted: Fitted,
    out: str | Path,
    *,
    horizon: int = 24,
    level: Any = (80, 95),  # noqa: ANN401  # a number, several, or None
    profile: Profile = "balanced",
    sign_key: str | Path | SigningKey | None = None,
    unsigned: bool = False,
    model: str | None = None,
    prune: Prune = "off",
    data: Any = None,  # noqa: ANN401  # a frame
    name: str | None = None,
    bundle_version: int = 1,
    origin: ModelRef | None = None,
    created_ts_ms: int | None = None,
    archive: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write a bundle: models, schema, states, parity vectors, runtime, deployment files, manifest, signature.

    All or nothing: a bundle appears whole, after it was read back and found stationary, within tolerance of
    the library, and free of foreign operators.

    Parameters
    ----------
    out
        Folder to make; the archive is its name with ``.edge.zip``, beside it.
    level
        Coverage of intervals in percent; None for none.
    profile
        "balanced": small file, decoded when it is loaded; "size": decoded on each call, least memory;
        "latency": largest file, fastest.
    sign_key
        File of an ed25519 key (`forecast export-key` makes one), or a `SigningKey`.
    unsigned
        Write a bundle without signature, which no device takes.
    model
        Alias, where `fitted` has several models.
    prune
        "parcor": small partial autocorrelations become 0; "lags": lags that forecasts do not need are left
        out and the others fitted again, which needs the training data.
    data
        The training data as a frame; left out, those that `fitted` still has.
    name, bundle_version
        A device holds bundles of one name and takes growing versions only; `name` is the alias by default.
    origin
        Where the model came from.
    created_ts_ms
        ms UTC, for people; this library has no clock.
    overwrite
        Replace a bundle that is at `out`.
    progress
        Called with a stage, the steps done, and all of them.

    Raises
    ------
    ExportError
        An argument makes no sense, no series can be exported, or the place cannot be written.
    GateError
        What was written failed its own check; nothing is left of it.
    BundleExistsError
        Something is at `out`.
    KeyFileError
        The key cannot be read, or others can read it.
    """
    from edge.bundle.folder import check_free

    alias, records = records_of(fitted, model)
    label = default_name(alias) if name is None else name
    order = Order(
        label, whole("bundle_version", bundle_version), whole("horizon", horizon), levels_of(level),
        profile, prune, key_of(sign_key, unsigned), origin or ModelRef(alias, "unregistered", None, None),
        created_ts_ms,
    )  # fmt: skip
    target = Path(out)
    check_free(target, archive, overwrite)
    return _written(target, order, alias, records, _panel(fitted, records, data, prune), archive, progress)


def _written(
    out: Path, order: Order, alias: str, records: Records, panel: Panel | None, archive: bool,
    progress: Progress | None,
) -> Exported:  # fmt: skip
    from edge.bundle.making import make
    from edge.bundle.packing import pack_bundle
    from edge.bundle.source import source

    tell = progress or _silent
    found = source(records, panel, order)
    made = make(found, order, tell)
    manifest, packed, size = pack_bundle(out, made, found, order, archive, tell)
    return Exported(
        out, packed, made.table.frame(), order.name, order.bundle_version, alias, order.profile,
        manifest.digest, None if order.key is None else order.key.key_id, max(made.errors.values()), size,
        manifest.opset,
    )  # fmt: skip


def _panel(fitted: Fitted, records: Records, data: object, prune: str) -> Panel | None:
    """Return the data to prune by, None where they are not needed or not there."""
    if prune != "lags" or data is None:
        return fitted.panel
    from forecast.models.frames import to_panel

    schema, freq = fitted.schema, records.freq
    panel, _ = to_panel(
        data, int(freq.text) if freq.is_int else freq.text, schema.exog,
        id_col=schema.id_col, time_col=schema.time_col, target_col=schema.target_col,
    )  # fmt: skip
    return panel


def _silent(stage: str, done: int, total: int) -> None:
    """Show nothing."""
