"""The schema: which revision a store has, which one this code needs, and the way from one to the other.

The revisions are in `migrations/` of a checkout and in `pipelines/_migrations` of a wheel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, inspect, select
from sqlalchemy.engine import URL

from pipelines.errors import StoreError
from pipelines.store.address import SQLITE, mask, sqlite_file
from pipelines.store.engine import dialect, make_engine, reading, serialize
from pipelines.store.faults import naming_faults
from pipelines.store.tables import Base

SchemaState = Literal["current", "older", "newer", "absent"]

# The database may be shared, with MLflow for one, which has an `alembic_version` of its own.
VERSION_TABLE: Final = "forecast_alembic_version"


def _ours(name: str | None, kind: str, parents: Any) -> bool:  # noqa: ANN401  # alembic's mapping
    """Whether a comparison looks at a table; what hangs on a table of ours is ours."""
    table = name if kind == "table" else parents.get("table_name")
    return kind == "schema" or table in Base.metadata.tables


CONTEXT: Final[dict[str, Any]] = {
    "version_table": VERSION_TABLE,
    "include_name": _ours,
    "compare_type": True,
    "render_as_batch": True,
}


@dataclass(frozen=True, slots=True)
class SchemaReport:
    """What `forecast db check` says."""

    state: SchemaState
    found: str | None
    """Revision of the store."""
    wanted: str
    """Revision of this code."""
    behind: int
    """Revisions to apply; 0 unless older or absent."""
    differences: tuple[str, ...]
    """Where a current store has not the tables that this code describes; empty for others."""

    @property
    def ok(self) -> bool:
        """True when the store can be used as it is."""
        return self.state == "current" and not self.differences


def migrations_folder() -> Path:
    """Return the folder of the revisions; the wheel's first, for a checkout has none in its package."""
    package = Path(__file__).parent.parent
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StoreError("this installation lacks its migrations; install the wheel again")


def inspect_schema(engine: Engine) -> SchemaReport:
    """Compare the revision of a store, and the tables of a current one, with this code."""
    script = _script()
    wanted = _head(script)
    file = sqlite_file(engine.url)
    if file is not None and not file.exists():
        return SchemaReport("absent", None, wanted, _distance(script, None), ())
    with reading(engine) as connection:
        found = _revision(connection)
        state = _state(script, found)
        behind = _distance(script, found) if state in ("older", "absent") else 0
        differences = _differences(connection) if state == "current" else ()
    return SchemaReport(state, found, wanted, behind, differences)


def schema_state(engine: Engine) -> tuple[SchemaState, str | None, str]:
    """Return the state, the revision found and the one wanted, without a look at the tables."""
    script = _script()
    file = sqlite_file(engine.url)
    if file is not None and not file.exists():
        return "absent", None, _head(script)
    with reading(engine) as connection:
        found = _revision(connection)
    return _state(script, found), found, _head(script)


def upgrade(url: URL, revision: str = "head", lock_timeout_s: float = 10.0) -> tuple[str | None, str | None]:
    """Bring a store to `revision`, all or nothing, and return the revisions before and after.

    An SQLite file is made where there is none. Several may upgrade at once: one does it, the others
    wait and find it done.

    Raises
    ------
    StoreError
        The store is newer than this code, the revision is unknown, or the store cannot be written.
    """
    file = sqlite_file(url)
    if file is not None and not file.absolute().parent.is_dir():
        raise StoreError(f"there is no folder {file.parent} for the store; make it first")
    with _migrating(url, lock_timeout_s) as (connection, config):
        before = _revision(connection)
        _refuse_newer(before)
        command.upgrade(config, revision)
        return before, _revision(connection)


def downgrade(url: URL, revision: str, lock_timeout_s: float = 10.0) -> tuple[str | None, str | None]:
    """Bring a store back to `revision` ("base": no tables), all or nothing; rows of dropped tables are lost.

    Raises
    ------
    StoreError
        The store is newer than this code, the revision is unknown, or the store cannot be written.
    """
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise StoreError(f"there is no store at {file}")
    with _migrating(url, lock_timeout_s) as (connection, config):
        before = _revision(connection)
        _refuse_newer(before)
        if before is not None:
            command.downgrade(config, revision)
        return before, _revision(connection)


def tables_with_rows(engine: Engine) -> tuple[str, ...]:
    """Return the names of our tables that hold at least one row."""
    with reading(engine) as connection:
        present = set(inspect(connection).get_table_names())
        return tuple(
            table.name
            for table in Base.metadata.sorted_tables
            if table.name in present and connection.execute(select(1).select_from(table).limit(1)).first()
        )


@contextmanager
def _migrating(url: URL, lock_timeout_s: float) -> Iterator[tuple[Connection, Config]]:
    engine = make_engine(url, lock_timeout_s, migrating=True)
    try:
        with naming_faults(url), engine.begin() as connection:
            serialize(connection, "migrations")
            config = _config()
            config.attributes["connection"] = connection
            try:
                yield connection, config
            except CommandError as error:
                raise StoreError(f"{mask(url)}: {error}") from None
            _check_references(connection)
    finally:
        engine.dispose()


def _check_references(connection: Connection) -> None:
    """Foreign keys are off while SQLite migrates: look at the end whether all still refer to something."""
    if dialect(connection) == SQLITE and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise StoreError("the migration would leave rows that refer to nothing; the store was not changed")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _head(script: ScriptDirectory) -> str:
    head = script.get_current_head()
    if head is None:
        raise StoreError("this installation lacks its migrations; install the wheel again")
    return head


def _revision(connection: Connection) -> str | None:
    heads = MigrationContext.configure(connection, opts=CONTEXT).get_current_heads()
    return heads[0] if heads else None


def _known(script: ScriptDirectory) -> Sequence[str]:
    return [revision.revision for revision in script.walk_revisions()]  # newest first


def _state(script: ScriptDirectory, found: str | None) -> SchemaState:
    if found is None:
        return "absent"
    if found == _head(script):
        return "current"
    return "older" if found in _known(script) else "newer"


def _distance(script: ScriptDirectory, found: str | None) -> int:
    known = _known(script)
    return known.index(found) if found is not None else len(known)


def _refuse_newer(found: str | None) -> None:
    script = _script()
    if _state(script, found) == "newer":
        raise StoreError(newer_message(found, _head(script)))


def newer_message(found: str | None, wanted: str) -> str:
    """Return what to say of a store that a newer release has upgraded."""
    return (
        f"the store's schema {found} is newer than this program, which knows up to {wanted}; "
        "install the release that upgraded it"
    )


def _differences(connection: Connection) -> tuple[str, ...]:
    context = MigrationContext.configure(connection, opts=CONTEXT)
    return tuple(_spell(change) for change in compare_metadata(context, Base.metadata))


def _spell(change: Any) -> str:  # noqa: ANN401  # tuples of many shapes, nested for columns
    if isinstance(change, list):
        return "; ".join(_spell(one) for one in change)
    kind, *rest = change
    names = [str(getattr(part, "name", None) or part) for part in rest if part is not None and part != {}]
    return f"{kind}: {' '.join(names)}"
