"""What surrounds the models: runtime, files for deployment, C example, manifest, signature, archive."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from edge.bundle.archive import write_archive
from edge.bundle.deploy import deploy_files
from edge.bundle.device_app import NAME as APP
from edge.bundle.device_app import device_app
from edge.bundle.folder import archive_beside, put, staged
from edge.bundle.graphs import Progress
from edge.bundle.making import Made
from edge.bundle.manifest import Facts, Manifest, write_manifest
from edge.bundle.order import Order
from edge.bundle.source import Source
from edge.c99 import emit, example
from edge.runtime.manifest import CertificateSummary, OnnxRuntimeRange
from forecast.errors import InputError

# Series in the C example: an example, not the fleet.
_C_SERIES: Final = 8
# As many steps as the stack of a small controller holds.
_C_STEPS: Final = 96

# The oldest release that the graphs are tested on.
_OLDEST_RUNTIME: Final = "1.19"


def pack_bundle(
    out: Path, made: Made, found: Source, order: Order, archive: bool, progress: Progress
) -> tuple[Manifest, Path | None, int]:
    """Write the folder, and the archive beside it; return manifest, archive, and size in bytes."""
    progress("write", 0, 2)
    packed = archive_beside(out) if archive else None
    with staged(out, packed) as (folder, part):
        for name, data in (made.files | _surroundings(made, found, order)).items():
            put(folder, name, data)
        manifest = write_manifest(folder, _facts(made, order), order.key)
        progress("write", 1, 2)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if part is not None:
            write_archive(folder, part)
            size = part.stat().st_size
    progress("write", 2, 2)
    return manifest, packed, size


def _surroundings(made: Made, found: Source, order: Order) -> dict[str, bytes]:
    files = {APP: device_app()}
    files |= deploy_files(order.name, order.bundle_version, _versions())
    return files | _c_example(made, found, order)


def _versions() -> Mapping[str, str]:
    return {name: _release(version(name)) for name in ("numpy", "onnxruntime")}


def _release(text: str) -> str:
    """Return the numbers of a version: what comes after them is of one build."""
    parts = []
    for part in text.split("."):
        if not part.isdigit():
            break
        parts.append(part)
    return ".".join(parts)


def _c_example(made: Made, found: Source, order: Order) -> dict[str, bytes]:
    """Return the first series as C, with the coefficients of model.onnx; nothing where C cannot say it."""
    rows = np.arange(min(found.fleet.n, _C_SERIES)).tolist()
    steps = min(order.horizon, _C_STEPS)
    try:
        header = emit(found.fleet, rows, steps, phi=made.phi, seasonal_phi=made.seasonal_phi)
        main = example(found.fleet, rows, steps)
    except InputError:  # a season longer than a table, values beyond float: C is an extra
        return {}
    return {"examples/c/model.h": header.encode(), "examples/c/main.c": main.encode()}


def _facts(made: Made, order: Order) -> Facts:
    table, there = made.table, made.table.exported
    return Facts(
        name=order.name, bundle_version=order.bundle_version, created_ts_ms=order.created_ts_ms,
        model=order.model, horizon=order.horizon, levels=order.levels, profile=order.profile,
        n_series=int(there.sum()), opset=made.contents[0].opset, ir_version=made.contents[0].ir_version,
        ops=made.ops, onnxruntime=OnnxRuntimeRange(_OLDEST_RUNTIME, (_versions()["onnxruntime"],)),
        certificate=CertificateSummary(
            float(table.max_pole_after[there].max()), float(table.margin[there].min()),
            float(np.nan_to_num(table.rmse_rise[there]).max()),
        ),
    )  # fmt: skip
