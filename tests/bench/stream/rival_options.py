"""The command line of a rival."""

from __future__ import annotations

import argparse


def options(doc):
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    for name in ("bootstrap", "ticks", "forecasts", "group", "model", "folder"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--batch", action="store_true", help="Bytewax: batches, and no state of its own")
    return parser.parse_args()
