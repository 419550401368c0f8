"""Leases: one trainer a fleet, and a fence that keeps out the one that lost it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final

from sqlalchemy import Connection, Engine, select, text, update

from pipelines.errors import LeaseLostError, PipelineError, StoreError
from pipelines.store.engine import affected, now_ms, reading, writing
from pipelines.store.tables import FleetLease

# A free or expired row is taken over in one statement: of several that try at once, one changes it.
_TAKE: Final = text("""
    INSERT INTO fleet_lease (fleet, owner, until_ms, fence) VALUES (:fleet, :owner, :until, 1)
    ON CONFLICT (fleet) DO UPDATE
    SET owner = excluded.owner, until_ms = excluded.until_ms, fence = fleet_lease.fence + 1
    WHERE fleet_lease.until_ms <= :now OR fleet_lease.owner = excluded.owner
    RETURNING fence, until_ms
""")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a lease says: a value, which goes with every commit that it protects."""

    fleet: str
    owner: str
    fence: int
    until_ms: int


class Lease:
    """The right to train a fleet, until `until_ms`; released when its block ends.

    A lease that expired is still good for a commit as long as nobody took the fleet over: what
    counts is the fence.
    """

    def __init__(self, engine: Engine, grant: Grant, ttl_s: float) -> None:
        self._engine = engine
        self.grant = grant
        self.ttl_s = ttl_s

    @property
    def fleet(self) -> str:
        return self.grant.fleet

    @property
    def owner(self) -> str:
        return self.grant.owner

    @property
    def fence(self) -> int:
        """Grows with every change of hands; a commit under an older one is refused."""
        return self.grant.fence

    @property
    def until_ms(self) -> int:
        return self.grant.until_ms

    def renew(self) -> None:
        """Begin the time to live anew; `LeaseLostError` when another took the fleet over."""
        with writing(self._engine) as connection:
            check_fence(connection, self.grant)
            until = now_ms(connection) + round(self.ttl_s * 1000)
            connection.execute(
                update(FleetLease).where(FleetLease.fleet == self.fleet).values(until_ms=until)
            )
        self.grant = replace(self.grant, until_ms=until)

    def release(self) -> None:
        """Let the next one in; nothing happens when another has the fleet already."""
        mine = (FleetLease.fleet == self.fleet) & (FleetLease.fence == self.fence)
        with writing(self._engine) as connection:
            connection.execute(update(FleetLease).where(mine).values(until_ms=0))

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release()
        except PipelineError:
            if error is None:  # else the error of the block says more; the lease expires by itself
                raise


def take_lease(engine: Engine, fleet: str, owner: str, ttl_s: float) -> Lease:
    """Take the lease of `fleet`, or raise a retriable `StoreError` that names who has it.

    An owner that asks again takes its own lease over, under a higher fence: so a job that was killed
    resumes at once, and if it still ran after all, its commits are refused.
    """
    if not (fleet and owner and ttl_s > 0):
        raise StoreError(f"a lease needs a fleet, an owner and a time, got {fleet!r}, {owner!r}, {ttl_s!r}")
    with writing(engine) as connection:
        now = now_ms(connection)
        values = {"fleet": fleet, "owner": owner, "until": now + round(ttl_s * 1000), "now": now}
        row = connection.execute(_TAKE, values).first()
        if row is None:
            held = connection.execute(select(FleetLease).where(FleetLease.fleet == fleet)).one()
            raise StoreError(
                f"fleet {fleet!r} is being trained by {held.owner!r}, for at most "
                f"{max(held.until_ms - now, 0) / 1000:.0f} s unless it renews; run again later",
                retriable=True,
            )
    return Lease(engine, Grant(fleet, owner, row.fence, row.until_ms), ttl_s)


def lease_holder(engine: Engine, fleet: str) -> Grant | None:
    """Return who has the fleet now, None when it is free."""
    with reading(engine) as connection:
        row = connection.execute(select(FleetLease).where(FleetLease.fleet == fleet)).first()
        if row is None or row.until_ms <= now_ms(connection):
            return None
    return Grant(row.fleet, row.owner, row.fence, row.until_ms)


@contextmanager
def writing_under(engine: Engine, grant: Grant | None) -> Iterator[Connection]:
    """Yield a connection as `writing` does; where a lease is given and was lost, `LeaseLostError`."""
    with writing(engine) as connection:
        if grant is not None:
            check_fence(connection, grant)
        yield connection


def check_fence(connection: Connection, grant: Grant) -> None:
    """Hold the lease's row until the end of the transaction; `LeaseLostError` when it is another's by now."""
    mine = (FleetLease.fleet == grant.fleet) & (FleetLease.fence == grant.fence)
    # An update that changes nothing: it locks the row on both dialects, so that nobody takes over
    # between this check and the commit.
    held = connection.execute(update(FleetLease).where(mine).values(fence=FleetLease.fence))
    if affected(held) != 1:
        now = connection.execute(select(FleetLease).where(FleetLease.fleet == grant.fleet)).first()
        raise LeaseLostError(
            f"the lease of fleet {grant.fleet!r} was lost to {now.owner if now else 'nobody'!r}: "
            f"{grant.owner!r} did not renew it in time; nothing of this write was kept, run again later"
        )
