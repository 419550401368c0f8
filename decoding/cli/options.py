"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from decoding.features import BACKENDS, choices

if TYPE_CHECKING:
    from decoding.engine import Engine

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
tokenizer = click.option(
    "--tokenizer", type=click.Path(), help="tokenizer.json, or its folder; the model's folder if left out."
)

_LOADING = (
    click.option("-m", "--model", "path", required=True, type=click.Path(file_okay=False),
                 help="Folder of the checkpoint."),
    tokenizer,
    click.option("--weights", type=click.Choice(choices("weights")), default="fp32", show_default=True),
    click.option("--kv", type=click.Choice(choices("kv")), default="fp32", show_default=True,
                 help="Precision of the KV cache."),
    click.option("--backend", type=click.Choice(BACKENDS), default=BACKENDS[0], show_default=True),
    click.option("--threads", type=int, help="Threads; all cores if left out."),
    click.option("--processes", default=1, show_default=True, help="Split the layers over so many."),
    click.option("--context", type=int, help="Most tokens of prompt and answer."),
)  # fmt: skip
_NAMES = ("path", "tokenizer", "weights", "kv", "backend", "threads", "processes", "context")


def loading(command: F) -> Callable[..., object]:
    """Add how to load a checkpoint; the command gets it as `load`, the arguments of `Engine.load`."""

    @wraps(command)
    def packed(**given: object) -> object:
        return command(load={name: given.pop(name) for name in _NAMES}, **given)

    wrapped: Callable[..., object] = packed
    for option in reversed(_LOADING):
        wrapped = option(wrapped)
    return wrapped


def open_engine(load: dict[str, Any], *, max_batch: int, **settings: Any) -> Engine:  # noqa: ANN401  # those of Engine
    """Say what the engine will take in memory, on stderr; then load it.

    Raises
    ------
    DecodingError
        As for `decoding.loading.load_engine`.
    """
    from decoding.config import ModelConfig
    from decoding.loading import load_engine, plan_engine

    planned = {name: load[name] for name in ("weights", "kv", "context")}
    plan = plan_engine(ModelConfig.from_folder(load["path"]), max_batch=max_batch, **planned)
    click.echo(plan, err=True)
    return load_engine(**load, max_batch=max_batch, **settings)
