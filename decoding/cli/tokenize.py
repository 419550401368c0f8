"""`python -m decoding tokenize`."""

from __future__ import annotations

import json

import click

from decoding.cli import options
from decoding.errors import InputError


@click.command("tokenize", short_help="Show the token ids of a text, or the text of ids.")
@click.option("-m", "--model", type=click.Path(file_okay=False), help="Folder with the tokenizer.json.")
@options.tokenizer
@click.option("-p", "--prompt", help="Text.")
@click.option("--ids", metavar="ID,ID,...", help="Token ids, in place of a text.")
@click.option(
    "--special/--no-special", default=True, show_default=True, help="Add what the model begins with."
)
@options.as_json
def command(
    model: str | None,
    tokenizer: str | None,
    prompt: str | None,
    ids: str | None,
    special: bool,
    as_json: bool,
) -> None:
    """Show the token ids of a text, or the text of ids."""
    from decoding.tokenizer import Tokenizer

    where = tokenizer or model
    if where is None or (prompt is None) == (ids is None):
        raise click.UsageError("give --model or --tokenizer, and either --prompt or --ids")
    known = Tokenizer(where)
    tokens = known.encode(prompt or "", add_special_tokens=special) if ids is None else parse_ids(ids)
    for token in tokens:
        if not 0 <= token < known.vocab_size:
            raise InputError(f"--ids must be ids of the tokenizer, below {known.vocab_size}, got {token}")
    spelled = [known.token(token) for token in tokens]
    text = known.decode(tokens, skip_special_tokens=False)
    if as_json:
        click.echo(json.dumps({"ids": tokens, "tokens": spelled, "text": text}, ensure_ascii=False))
    elif ids is not None:
        click.echo(text)
    else:
        for token, said in zip(tokens, spelled, strict=True):
            click.echo(f"{token:>7}  {said}")
        click.echo(f"{len(tokens)} tokens")


def parse_ids(text: str) -> list[int]:
    """Read "1,2,3".

    Raises
    ------
    InputError
        Something between the commas is no whole number.
    """
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise InputError(f"--ids must be whole numbers with commas between them, got {text!r}") from None
