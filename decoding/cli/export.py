"""`python -m decoding export`."""

from __future__ import annotations

import click

from decoding.features import choices


@click.command("export", short_help="Write a checkpoint as an ONNX graph.")
@click.option(
    "-m", "--model", "path", required=True, type=click.Path(file_okay=False), help="Folder of the checkpoint."
)
@click.option("-o", "--out", required=True, type=click.Path(file_okay=False), help="Folder to write to.")
@click.option("--weights", type=click.Choice(choices("weights")), default="fp32", show_default=True)
@click.option("--context", type=int, help="Positions; as the model was made for if left out.")
def command(path: str, out: str, weights: str, context: int | None) -> None:
    """Write a checkpoint as an ONNX graph, with its weights beside it and the settings of onnxruntime-genai.

    The graph is that of the ort back end; it runs in ONNX Runtime from 1.23 on, and in onnxruntime-genai.
    """
    from decoding.ort import export

    click.echo(export(path, out, weights=weights, context=context))
