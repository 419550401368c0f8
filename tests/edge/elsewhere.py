"""Runs graphs in another environment, and brings their outputs back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tests.services.edge import graph_runner
from tests.services.edge.cache import command


class Runnable(Protocol):
    """A graph and its inputs, which can be written as `graph_runner` reads them."""

    @property
    def name(self) -> str: ...

    def write(self, folder: Path) -> None: ...


@dataclass(frozen=True, eq=False)
class Ran:
    """What came back."""

    facts: Mapping[str, str]
    """Versions of ONNX Runtime and NumPy, and the machine, as they call themselves there."""
    outputs: Mapping[str, Mapping[str, NDArray[Any]]]


def run_there(
    python: Sequence[str | Path],
    artifacts: Iterable[Runnable],
    folder: Path,
    env: Mapping[str, str] | None = None,
) -> Ran:
    """Run every artifact by the command `python`, in one process."""
    artifacts = list(artifacts)
    for artifact in artifacts:
        artifact.write(folder)
    said = command([*python, Path(graph_runner.__file__), folder], env=env)
    outputs = {}
    for artifact in artifacts:
        with np.load(folder / f"{artifact.name}.out.npz", allow_pickle=False) as found:
            outputs[artifact.name] = dict(found)
    return Ran(json.loads(said.splitlines()[-1]), outputs)
