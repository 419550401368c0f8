"""Parents of a logged model that holds changes only: fetched from the registry that it was loaded from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


def parents_in_registry(file: str) -> Callable[[str], str]:
    """Return what finds the folder of a parent version.

    Parameters
    ----------
    file
        JSON beside the logged model: ``{"fleet": ..., "parents": {version: number}}``.
    """
    told = json.loads(Path(file).read_text(encoding="utf-8"))

    def find(version: str) -> str:
        from mlflow.artifacts import download_artifacts
        from mlflow.models import Model

        uri = f"models:/{told['fleet']}/{told['parents'][version]}"
        folder = Path(download_artifacts(artifact_uri=uri))
        flavor = Model.load(str(folder)).flavors["python_function"]
        return str(folder / flavor["artifacts"]["model"]["path"])

    return find
