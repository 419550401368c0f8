"""Stage version: the chunks of a job become a model version, named by its content."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import TrainError
from pipelines.logs import log
from pipelines.train.atomic import move_folder, sync_folder, write_bytes
from pipelines.train.fitting import CHUNKS, done
from pipelines.train.work import Work

if TYPE_CHECKING:
    from forecast.models.manifest import Manifest


def publish(work: Work) -> dict[str, Any]:
    """Write ``models/FLEET/VERSION``; a version that is there already, and whole, is left alone."""
    manifest = build_manifest(work)
    target = work.settings.model_root.absolute() / work.job.fleet / manifest.version
    new = not target.exists()
    if not new and not _whole(manifest, target):
        log.warning("%s is damaged; written again", target)
        shutil.rmtree(target)
        new = True
    if new:
        _write(work, manifest, target)
    log.info("version %s %s", manifest.version[:12], "written" if new else "is there already: same content")
    return {"version": manifest.version, "folder": str(target), "new": new, "n_series": manifest.n_series}


def build_manifest(work: Work) -> Manifest:
    """Return the manifest of what was fitted.

    It holds no clock and no run: the same data and models give the same version.
    """
    import forecast
    from forecast.models.canonical_json import dumps, loads
    from forecast.models.freq import Freq
    from forecast.models.manifest import Chunk, Manifest, ModelEntry
    from forecast.models.spec import describe

    finished = [done(work, k)["chunks"] for k in range(work.n_parts)]
    entries = []
    for model in work.models():
        chunks, first = [], 0
        for chunk in (c for part in finished for c in part[model.alias]):
            chunks.append(Chunk(chunk["sha256"], chunk["bytes"], first, chunk["n_records"]))
            first += chunk["n_records"]
        text = describe(model)
        spec = loads(dumps({"name": text.name, "arguments": text.arguments}))
        entries.append(ModelEntry(model.alias, spec, tuple(chunks)))
    facts = work.history().facts
    return Manifest(
        created_by=f"forecast-platform {forecast.__version__}",
        models=tuple(entries),
        freq=Freq(facts["freq"]["text"], facts["freq"]["tz"]),
        schema=loads(dumps(facts["schema"])),
        n_series=facts["n_series"],
    )


def _whole(manifest: Manifest, target: Path) -> bool:
    """Whether a folder holds this version as it was written."""
    from forecast.models.manifest import write

    try:
        if (target / "manifest.json").read_bytes() != write(manifest):
            return False
        for chunk in (c for entry in manifest.models for c in entry.chunks):
            with open(target / CHUNKS / f"{chunk.sha256}.npz", "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != chunk.sha256:
                    return False
    except OSError:
        return False
    return True


def _write(work: Work, manifest: Manifest, target: Path) -> None:
    from forecast.models.manifest import write

    stage = target.parent / f".{target.name}.{work.folder.run_id}.tmp"
    shutil.rmtree(stage, ignore_errors=True)  # of a process that was killed
    try:
        (stage / CHUNKS).mkdir(parents=True)
        for sha256 in {chunk.sha256 for entry in manifest.models for chunk in entry.chunks}:
            _link(work.file(CHUNKS, f"{sha256}.npz"), stage / CHUNKS / f"{sha256}.npz")
        sync_folder(stage / CHUNKS)
        write_bytes(stage / "manifest.json", write(manifest))
        move_folder(stage, target)
        sync_folder(target.parent)
    except OSError as error:
        raise TrainError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """Give a file that never changes a second name; copy it where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        write_bytes(target, source.read_bytes())
