"""A challenger on top of the champion of today, where that is no longer the one that it was made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.logs import log

if TYPE_CHECKING:
    from pipelines.store import Store, VersionRow


def rebased(store: Store, row: VersionRow, champion: VersionRow | None, model_root: Path) -> VersionRow:
    """Return the version that changes the same series of `champion`; `row` where nothing has to change.

    While a challenger is in the shadow another one may become champion. To promote it as it is would take
    back what that one changed; so the same records get another parent. Called again it finds what it made.

    Parameters
    ----------
    row
        Holds changes to a parent, or is whole: then it stays as it is.
    model_root
        Folder of model versions.

    Raises
    ------
    ArtifactError
        The folder of `row` is damaged.
    InputError
        The version that is made cannot be written.
    StoreError
        It cannot be registered.
    """
    if row.parent_version is None or champion is None or row.parent_version == champion.version:
        return row
    from forecast.models import version

    own = version.load(row.artifact_uri)
    manifest = replace(own.manifest, parent_version=champion.version)
    target = model_root.absolute() / row.fleet / manifest.version
    written = version.save(
        target,
        own.models,
        schema=manifest.schema,
        created_by=manifest.created_by,
        parent_version=champion.version,
        created_ts_ms=manifest.created_ts_ms,
    )
    made = store.add_version(row.fleet, written, str(target), state="candidate", metrics=row.metrics)
    log.info("%s is %s on top of %s", made.name, row.name, champion.name)
    return made
