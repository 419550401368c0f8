"""`python -m decoding generate`."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from decoding.cli import options
from decoding.cli.tokenize import parse_ids
from decoding.errors import InputError, ParamError
from forecast.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from decoding.engine import Engine
    from decoding.output import Output, Piece
    from decoding.sampling.params import SamplingParams

_MOST_AT_ONCE = 16


@click.command("generate", short_help="Go on with one or more prompts.")
@options.loading
@click.option("-p", "--prompt", "prompts", multiple=True, help="Text to go on with; may be given again.")
@click.option("--ids", multiple=True, metavar="ID,ID,...", help="A prompt as token ids; may be given again.")
@click.option("-n", "--num-predict", default=128, show_default=True, help="Most tokens of an answer.")
@click.option("--temperature", default=0.0, show_default=True, help="0 is greedy.")
@click.option("--top-k", default=0, show_default=True, help="0 is off.")
@click.option("--top-p", default=1.0, show_default=True, help="1 is off.")
@click.option("--min-p", default=0.0, show_default=True, help="0 is off.")
@click.option("--seed", type=int, help="Of the draws; random if left out, and said with the answer.")
@click.option("--stop", multiple=True, help="Text that ends an answer; may be given again.")
@click.option("--ignore-eos", is_flag=True, help="Go on after the end of sequence.")
@click.option("--logprobs", type=int, help="With --json: log-probabilities of so many tokens a step.")
@click.option(
    "--set", "others", multiple=True, metavar="NAME=JSON", help="Any other field of SamplingParams."
)
@options.as_json
def command(
    load: dict[str, Any],
    prompts: tuple[str, ...],
    ids: tuple[str, ...],
    num_predict: int,
    others: tuple[str, ...],
    as_json: bool,
    **sampling: Any,  # noqa: ANN401  # fields of SamplingParams
) -> None:
    """Go on with one or more prompts.

    The answer to one prompt is shown as it comes; counts and rates go to stderr.
    """
    asked: list[str | list[int]] = [*prompts, *map(parse_ids, ids)]
    if not asked:
        raise click.UsageError("give at least one --prompt, or --ids")
    params = make_params(others, max_new_tokens=num_predict, **sampling)
    with options.open_engine(load, max_batch=min(len(asked), _MOST_AT_ONCE)) as engine:
        if as_json:
            outputs = engine.generate(asked, params)
            click.echo(json.dumps([dataclasses.asdict(output) for output in outputs], ensure_ascii=False))
        elif len(asked) == 1:
            outputs = [show_stream(engine, asked[0], params)]
        else:
            outputs = engine.generate(asked, params)
            for prompt, output in zip(asked, outputs, strict=True):
                click.echo(f"{prompt}{shown(output)}\n")
    for output in outputs:
        click.echo(summary(output), err=True)
    if any(output.error for output in outputs):
        sys.exit(1)


def make_params(others: Sequence[str], **named: Any) -> SamplingParams:  # noqa: ANN401  # fields of any kind
    """Read NAME=JSON pairs beside the named ones.

    Raises
    ------
    ParamError
        No such field, or a value that it does not take.
    InputError
        No pair, or no JSON.
    """
    from decoding.sampling.params import SamplingParams

    known = {field.name for field in dataclasses.fields(SamplingParams)}
    for pair in others:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--set must be NAME=JSON, got {pair!r}")
        if name not in known:
            raise ParamError("--set", name, f"name a field of SamplingParams{nearest(name, known)}")
        try:
            named[name] = json.loads(value)
        except json.JSONDecodeError:
            raise InputError(f"--set {name} must be JSON, got {value!r}") from None
    if isinstance(named.get("logit_bias"), dict):  # JSON has no keys but texts
        named["logit_bias"] = {int(k) if k.isdecimal() else k: v for k, v in named["logit_bias"].items()}
    return SamplingParams(**named)


def show_stream(engine: Engine, prompt: str | list[int], params: SamplingParams) -> Output:
    """Print an answer as it comes, after its prompt."""
    as_text = engine.tokenizer is not None
    pieces = engine.stream(prompt, params)  # first: what is refused is not shown
    click.echo(prompt if isinstance(prompt, str) else "", nl=False)
    *_, last = (_show(piece, as_text) for piece in pieces)
    click.echo()
    if last is None:
        raise InputError("the stream ended without an answer")
    return last


def _show(piece: Piece, as_text: bool) -> Output | None:
    """Print a piece; the last one has the answer."""
    click.echo(piece.text if as_text else " ".join([*map(str, piece.token_ids), ""]), nl=False)
    return piece.output


def shown(output: Output) -> str:
    """Return the answer as text, or as ids where there is no tokenizer."""
    return " ".join(map(str, output.token_ids)) if output.text is None else output.text


def summary(output: Output) -> str:
    """One line of counts and rates."""
    stats = output.stats
    if output.error:
        return f"{output.finish_reason}: {output.error}"
    first = "" if stats.first_token_s is None else f", first token after {stats.first_token_s:.3f} s"
    rate = "" if stats.tokens_per_s is None else f", then {stats.tokens_per_s:.1f} tokens/s"
    return (
        f"{stats.output_tokens} tokens ({output.finish_reason}) after {stats.prompt_tokens} of the prompt"
        f"{first}{rate}; seed {stats.seed}"
    )
