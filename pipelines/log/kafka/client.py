"""The client, kafka-python: imported here first, in silence."""

from __future__ import annotations

import warnings
from typing import Final

with warnings.catch_warnings():
    # On Python 3.11 and 3.12 its import calls what was deprecated for a while.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    import kafka

KNOWN: Final = kafka.__version__.split(".")[:2] == ["3", "0"]
"""Whether its inner parts are those that the fast paths know."""
