"""What the stages of a job share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from pipelines.errors import TrainError
from pipelines.train.history import History, parts
from pipelines.train.job import BASELINES, Job
from pipelines.train.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from forecast.models.panel import Panel
    from forecast.models.spec import Model
    from pipelines.settings import Settings


T = TypeVar("T")

# Partitions at work at a time: while one is written, the next is computed, on every thread. More would
# gain little, and each takes its share of memory.
IN_FLIGHT: Final = 2


class Progress(Protocol):
    """Who is told how far a job is."""

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of `total` steps; 0 where that is not known."""

    def step(self) -> None:
        """Count a step."""


class Silent:
    """Tells nobody."""

    def stage(self, name: str, total: int) -> None:
        """Begin nothing."""

    def step(self) -> None:
        """Count nothing."""


@dataclass(frozen=True, slots=True)
class Work:
    """One job at work."""

    folder: RunFolder
    job: Job
    settings: Settings
    jobs: int
    progress: Progress
    held: Callable[[], None] = lambda: None
    """Raises once another trainer has the fleet: there is no use in going on."""
    read: list[Panel] = field(default_factory=list)
    """The panel, where this very process read the input: a resumed job reads partitions of the snapshot."""

    def facts(self, stage: str) -> dict[str, Any]:
        """Return what an earlier stage found out."""
        found = self.folder.facts(stage)
        if found is None:
            raise TrainError(f"stage {stage} of run {self.folder.run_id} is not done")
        return found

    def history(self) -> History:
        """Return the snapshot of the input."""
        from pathlib import Path

        return History(Path(self.facts("snapshot")["history"]))

    def panel(self, k: int) -> Panel:
        """Return the series of partition `k`, the same to the last bit from memory and from the snapshot."""
        if not self.read:
            return self.history().panel(k)
        first = k * self.job.partition_size
        whole = self.read[0]
        return whole.part(first, min(first + self.job.partition_size, whole.n_series))

    @property
    def n_parts(self) -> int:
        """Partitions of the snapshot."""
        return parts(self.facts("snapshot")["n_series"], self.job.partition_size)

    @property
    def season_length(self) -> int:
        """Points in a season, as asked for or from the frequency."""
        season: int = self.facts("snapshot")["season_length"]
        return season

    def models(self) -> list[Model]:
        """Return the models of the job."""
        from forecast.api.arguments import resolve_models
        from pipelines.models import parse_model

        return resolve_models([parse_model(text) for text in self.job.models], self.season_length)

    def baselines(self) -> list[Model]:
        """Return what the models have to beat, but for those that are among them."""
        from forecast.api.arguments import resolve_models
        from pipelines.models import parse_model

        taken = {model.alias for model in self.models()}
        names = [n for n in BASELINES if n not in taken and (n != "SeasonalNaive" or self.season_length > 1)]
        return resolve_models([parse_model(n) for n in names], self.season_length) if names else []

    def each_part(self, stage: str, do: Callable[[int], T]) -> Iterator[T]:
        """Yield ``do(k)`` for every partition k, in order, `IN_FLIGHT` at work at a time; tell progress."""
        self.progress.stage(stage, self.n_parts)
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            # In a copy of the context each: it holds the fields of the log.
            rest = (pool.submit(copy_context().run, do, k) for k in range(self.n_parts))
            ahead = deque(islice(rest, IN_FLIGHT))
            try:
                while ahead:
                    yield ahead.popleft().result()
                    self.progress.step()
                    self.held()
                    ahead.extend(islice(rest, 1))
            finally:
                pool.shutdown(cancel_futures=True)

    def file(self, *names: str) -> Path:
        """Path of a file of the job."""
        return self.folder.file(*names)
