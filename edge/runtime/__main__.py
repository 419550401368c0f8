"""`python -m edge.runtime`, and what the zipapp starts."""

from __future__ import annotations

import sys

from edge.runtime.cli import main as main

if __name__ == "__main__":
    sys.exit(main())
