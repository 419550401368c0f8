"""Files that put a bundle into service: a systemd unit, a container, an AWS Greengrass component."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Final

# Path in the bundle -> template of this package.
_FILES: Final = {
    "deploy/systemd/forecast-edge.service": "forecast-edge.service",
    "deploy/container/Containerfile": "Containerfile",
    "deploy/greengrass/recipe.yaml": "recipe.yaml",
    "deploy/README.md": "deploy.md",
}

# What Greengrass takes as a part of a component's name.
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_.-]+")


def deploy_files(name: str, bundle_version: int, versions: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files by their path in the bundle.

    Parameters
    ----------
    name, bundle_version
        Of the bundle.
    versions
        Of ``numpy`` and ``onnxruntime``: those that the bundle was tested with.
    """
    plain = _FOREIGN.sub("-", name).strip("-.") or "fleet"
    values = {
        "name": plain,
        "component": f"forecast.edge.{plain}",
        "component_version": f"1.0.{bundle_version}",
        "bundle_version": str(bundle_version),
        "archive": f"{plain}.edge.zip",
        "numpy": versions["numpy"],
        "onnxruntime": versions["onnxruntime"],
    }
    folder = files("edge.bundle") / "templates"
    return {
        path: Template((folder / source).read_text(encoding="utf-8")).substitute(values).encode()
        for path, source in _FILES.items()
    }
