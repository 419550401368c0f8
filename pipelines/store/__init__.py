"""The store of metadata and of a hot window of rows: SQLite, or PostgreSQL by URL."""

from pipelines.store.address import DEFAULT_URL, mask
from pipelines.store.bundles import BundleRow, NewBundle
from pipelines.store.champions import ChampionRow, PromotionRow
from pipelines.store.claims import Claim
from pipelines.store.events import EventRow, NewEvent, Recorded
from pipelines.store.jobs import FollowUp, JobRow
from pipelines.store.judgements import JudgementRow, NewJudgement
from pipelines.store.leases import Grant, Lease
from pipelines.store.snapshots import NewSnapshot, SnapshotRow
from pipelines.store.store import Store, open_store
from pipelines.store.upgrade import SchemaReport, SchemaState
from pipelines.store.versions import NewVersion, VersionRow

__all__ = [
    "DEFAULT_URL",
    "BundleRow",
    "ChampionRow",
    "Claim",
    "EventRow",
    "FollowUp",
    "Grant",
    "JobRow",
    "JudgementRow",
    "Lease",
    "NewBundle",
    "NewEvent",
    "NewJudgement",
    "NewSnapshot",
    "NewVersion",
    "PromotionRow",
    "Recorded",
    "SchemaReport",
    "SchemaState",
    "SnapshotRow",
    "Store",
    "VersionRow",
    "mask",
    "open_store",
]
