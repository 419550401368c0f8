"""The store of metadata and of a hot window of rows: SQLite, or PostgreSQL by URL."""

from pipelines.store.address import DEFAULT_URL, mask
from pipelines.store.bundles import BundleRow, NewBundle
from pipelines.store.champions import ChampionRow, PromotionRow
from pipelines.store.leases import Grant, Lease
from pipelines.store.store import Store, open_store
from pipelines.store.upgrade import SchemaReport, SchemaState
from pipelines.store.versions import VersionRow

__all__ = [
    "DEFAULT_URL",
    "BundleRow",
    "ChampionRow",
    "Grant",
    "Lease",
    "NewBundle",
    "PromotionRow",
    "SchemaReport",
    "SchemaState",
    "Store",
    "VersionRow",
    "mask",
    "open_store",
]
