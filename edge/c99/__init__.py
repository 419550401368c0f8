"""The models as C: one self-contained header for devices without Python."""

from __future__ import annotations

from edge.c99.header import emit
from edge.c99.program import example

__all__ = ["emit", "example"]
