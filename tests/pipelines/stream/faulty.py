"""A log that fails, or whose process dies, at a given call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipelines.errors import AbortedError
from pipelines.log.protocol import Log, Membership

# Calls that a fault can meet; the others neither read nor write.
_FAULTY = frozenset({
    "join", "poll", "seek", "committed", "ends", "begins", "begin", "write", "barrier", "commit",
    "abort", "assign", "close",
})  # fmt: skip


class Killed(BaseException):
    """The process is gone: nothing is tidied up."""


@dataclass
class Plan:
    """What happens at which call, counted over all ends of a log."""

    at: int = -1
    """Number of the call, from 0; -1: nothing ever happens."""
    error: Callable[[], BaseException] = Killed
    after: bool = False
    """The call has done its work, but nobody hears of it."""
    members_only: bool = False
    calls: list[str] = field(default_factory=list)
    dead: bool = False

    def call(self, name: str, fn: Callable[..., Any], *given: Any, **named: Any) -> Any:
        if self.dead:
            raise Killed
        number = len(self.calls)
        self.calls.append(name)
        if number != self.at:
            return fn(*given, **named)
        if self.after:
            fn(*given, **named)
        error = self.error()
        self.dead = isinstance(error, Killed)
        raise error


@dataclass
class FaultyEnd:
    """A member or a reader of the log behind it."""

    end: Any
    plan: Plan
    kind: str

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.end, name)
        faulty = name in _FAULTY and not (self.plan.members_only and self.kind != "member")
        if not faulty:
            return found

        def call(*given: Any, **named: Any) -> Any:
            try:
                return self.plan.call(f"{self.kind}.{name}", found, *given, **named)
            except AbortedError:
                self.end.abort()
                raise

        return call


@dataclass
class FaultyLog:
    """Passes everything on, and follows the plan."""

    log: Log
    plan: Plan
    ends: list[Any] = field(default_factory=list)

    def member(self, membership: Membership) -> Any:
        return self._keep(self.log.member(membership), "member")

    def reader(self) -> Any:
        return self._keep(self.log.reader(), "reader")

    def bury(self) -> None:
        """Let go of what a process that dies lets go of: open files, and nothing else."""
        for end in self.ends:
            end._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)

    def _keep(self, end: Any, kind: str) -> FaultyEnd:
        self.ends.append(end)
        return FaultyEnd(end, self.plan, kind)
