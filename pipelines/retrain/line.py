"""Lines of versions: which serve through the champion, and what changed since a challenger was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forecast.models.version import ModelVersion
    from pipelines.store import FollowUp, Store, VersionRow


def line(store: Store, row: VersionRow) -> list[VersionRow]:
    """Return a version with its parents, the oldest first."""
    found = [row]
    while found[-1].parent_version is not None:
        found.append(store.version(row.fleet, found[-1].parent_version))
    return found[::-1]


def serves_as(store: Store, row: VersionRow, champion: VersionRow) -> VersionRow | None:
    """Return what a version was promoted as: itself, or its records on top of another; None where it was not.

    A worker that is killed between a promotion and the end of its job leaves that in the champion's line.
    """
    own = store.chunks(row)
    for each in line(store, champion):
        if each.id == row.id or (each.parent_version is not None and store.chunks(each) == own):
            return each
    return None


def changed_since(store: Store, row: VersionRow, champion: VersionRow) -> list[str]:
    """Return the series of a challenger that the champion has from another version than its parent had.

    For these the gate compared with something else than what serves now.

    Raises
    ------
    ArtifactError
        A folder is damaged.
    """
    from forecast.models import version

    if row.parent_version is None or row.parent_version == champion.version:
        return []
    lines = [line(store, each) for each in (store.version(row.fleet, row.parent_version), champion)]
    names = [{each.version for each in one} for one in lines]
    others = [
        each for one in lines for each in one if (each.version in names[0]) != (each.version in names[1])
    ]
    own = _ids(version.load(row.artifact_uri))
    changed: set[str] = set()
    for each in others:
        if each.parent_version is None:  # another whole version: all of them
            return sorted(own)
        changed |= own & _ids(version.load(each.artifact_uri))
    return sorted(changed)


def judged_anew(row: VersionRow, payload: Mapping[str, object], series: object) -> FollowUp:
    """Return the job that judges series of a version against who serves now.

    Parameters
    ----------
    payload
        Of the job that found it: what it was asked for, and by which job, goes on.
    series
        Ids as text, or "all".
    """
    from pipelines.store import FollowUp

    kept = {name: payload.get(name) for name in ("model", "input", "sql", "job")}
    return FollowUp({"kind": "drift", "series": series, **kept}, f"{row.fleet}/again/{row.version}")


def _ids(found: ModelVersion) -> set[str]:
    return {str(key) for model in found.models for key in model.records.ids.tolist()}
