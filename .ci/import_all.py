"""Import every module of every package that ships, and print how many there are."""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import walk_packages

PACKAGES = ("forecast", "pipelines", "edge", "decoding", "dashboards")

# Module -> the packages it may miss where the extra that brings them is not installed.
NEEDS_EXTRA = {
    "pipelines.log.confluent": ("confluent_kafka",),
    "pipelines.registry_format": ("fastavro", "google"),
    "pipelines.wire": ("msgspec",),
    "decoding": ("safetensors", "tokenizers", "onnx", "onnxruntime"),
}


def names() -> list[str]:
    found = list(PACKAGES)
    for package in PACKAGES:
        found += [m.name for m in walk_packages(import_module(package).__path__, f"{package}.")]
    return [name for name in found if not name.endswith("__main__")]


def main() -> None:
    may_miss = NEEDS_EXTRA if "--without-extras" in sys.argv else {}
    count = 0
    for name in names():
        try:
            import_module(name)
            count += 1
        except ModuleNotFoundError as error:
            owner = next((m for m in may_miss if name == m or name.startswith(f"{m}.")), None)
            if owner is None or error.name not in may_miss[owner]:
                raise
    print(f"{count} modules imported")


if __name__ == "__main__":
    main()
