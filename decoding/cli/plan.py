"""`python -m decoding plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from decoding.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from decoding.config import ModelConfig

_SHORT_CONTEXT = 4096


@click.command("plan", short_help="Show what a model takes in memory, before it is there.")
@click.option(
    "-m",
    "--model",
    required=True,
    type=click.Path(),
    help="Folder of the checkpoint, or a config.json alone.",
)
@click.option(
    "--context", "contexts", multiple=True, type=int,
    help="Tokens of a sequence; may be given again.  [default: 4096 and what the model was made for]",
)  # fmt: skip
@click.option(
    "--batch", "batches", multiple=True, type=int, default=(1, 16), show_default=True,
    help="Sequences at once; may be given again.",
)  # fmt: skip
@click.option(
    "--kv", type=click.Choice(["fp32", "fp16", "int8"]), default="fp32", show_default=True,
    help="Precision of the KV cache in the sums; fp16 for comparison, no back end has it.",
)  # fmt: skip
@options.as_json
def command(model: str, contexts: tuple[int, ...], batches: tuple[int, ...], kv: str, as_json: bool) -> None:
    """Show what a model takes in memory: weights, KV cache, and all together, by precision.

    Nothing but config.json is read.
    """
    from decoding.config import ModelConfig
    from decoding.memory import available_bytes, plan_table

    config = (ModelConfig.from_folder if Path(model).is_dir() else ModelConfig.from_file)(model)
    contexts = contexts or tuple(sorted({min(_SHORT_CONTEXT, config.context), config.context}))
    if as_json:
        click.echo(
            json.dumps({"available": available_bytes(), "plans": plans(config, contexts, batches, kv)})
        )
    else:
        click.echo(plan_table(config, contexts, batches, kv=kv, available=available_bytes()))


def plans(
    config: ModelConfig, contexts: Sequence[int], batches: Sequence[int], kv: str
) -> list[dict[str, object]]:
    """Bytes by what they are for, for every context, batch and precision of the weights."""
    from decoding.memory import plan_memory
    from decoding.quantize import PRECISIONS

    found: list[dict[str, object]] = []
    for context in contexts:
        for batch in batches:
            for weights in PRECISIONS:
                plan = plan_memory(config, weights=weights, kv=kv, context=context, batch=batch)
                sizes: dict[str, object] = {
                    "weights_bytes": plan.weights,
                    "kv_bytes": plan.kv,
                    "working_bytes": plan.working,
                    "total_bytes": plan.total,
                }
                found.append({"weights": weights, "kv": kv, "context": context, "batch": batch, **sizes})
    return found
