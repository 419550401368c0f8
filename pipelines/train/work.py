"""What the stages of a job share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.errors import TrainError
from pipelines.train.history import History, parts
from pipelines.train.job import BASELINES, Job
from pipelines.train.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from forecast.models.spec import Model
    from pipelines.settings import Settings


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

    def each_part(self, stage: str) -> Iterator[int]:
        """Yield the numbers of the partitions, telling progress."""
        self.progress.stage(stage, self.n_parts)
        for k in range(self.n_parts):
            yield k
            self.progress.step()

    def file(self, *names: str) -> Path:
        """Path of a file of the job."""
        return self.folder.file(*names)
