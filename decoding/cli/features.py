"""`python -m decoding features`."""

from __future__ import annotations

import json

import click

from decoding.cli import options
from decoding.features import FEATURES, table


@click.command("features", short_help="Show what each back end has.")
@options.as_json
def command(as_json: bool) -> None:
    """Show what each back end has; what it has not is refused, never ignored."""
    click.echo(json.dumps(FEATURES, indent=2) if as_json else table())
