"""`forecast export-key FOLDER`."""

from __future__ import annotations

import click

from pipelines.cli import options
from pipelines.cli.show import show_json


@click.command("export-key", short_help="Make a key to sign bundles with, and the file that devices trust.")
@click.argument("out", type=click.Path(file_okay=False))
@options.as_json
def command(out: str, as_json: bool) -> None:
    """Make an ed25519 key in the folder OUT.

    signing-key.pem (mode 0600) stays where bundles are exported. keys.json goes to the devices, by another
    way than the bundles. Nothing is written over.
    """
    from edge.bundle.keys import write_key

    key, private, trusted = write_key(out)
    if as_json:
        show_json(
            {
                "key_id": key.key_id,
                "public_key": key.public.hex(),
                "private": str(private),
                "trusted": str(trusted),
            }
        )
        return
    click.echo(f"key {key.key_id}")
    click.echo(f"  {private}  signs; keep it here, and a copy where it cannot be lost")
    click.echo(f"  {trusted}  is what devices trust")
