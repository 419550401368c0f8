"""`forecast warm`."""

from __future__ import annotations

import click

from pipelines.cli import options
from pipelines.cli.show import show_json, show_progress


@click.command("warm", short_help="Compile all kernels into the cache, for an image build.")
@options.as_json
def command(as_json: bool) -> None:
    """Compile all kernels into the disk cache.

    The machine code is for this kind of processor: build an image on the kind it will run on. A cache is
    never stale: its folder is named after the sources of all kernels.
    """
    from pipelines.warming import STEPS, warm

    if as_json:
        show_json(warm())
        return
    with show_progress(len(STEPS), "compiling") as bar:
        done = warm(lambda _: bar.update(1))
    click.echo(f"{done['files']} functions in {done['seconds']:.1f} s, cached in {done['folder']}")
