"""The device runtime as one file: ``python forecast-edge.pyz``, which needs numpy and onnxruntime."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from edge.bundle.archive import pack

NAME: Final = "forecast-edge.pyz"

_SHEBANG: Final = b"#!/usr/bin/env python3\n"
_PACKAGE: Final = b'"""The device side alone."""\n'
_MAIN: Final = b"""\
import sys

from edge.runtime.__main__ import main

sys.exit(main())
"""


def device_app() -> bytes:
    """Return the bytes of the zipapp: equal sources, equal bytes."""
    parts = [("__main__.py", _MAIN), ("edge/__init__.py", _PACKAGE)]
    parts += sorted(_sources(files("edge.runtime"), "edge/runtime"))
    out = io.BytesIO()
    out.write(_SHEBANG)
    pack(out, parts)
    return out.getvalue()


def _sources(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Yield the Python files of a package, with their names in the archive."""
    for entry in folder.iterdir():
        name = f"{prefix}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _sources(entry, name)
        elif entry.name.endswith(".py"):
            yield name, entry.read_bytes()
