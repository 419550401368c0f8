"""The command line: `python -m decoding COMMAND`; each command's module is imported when it is called."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Final

import click

from decoding.errors import DecodingError

# Name, module and the line that `--help` shows; a test holds these to the commands themselves.
COMMANDS: Final = {
    "bench": ("decoding.cli.bench", "Measure prefill and decode on one checkpoint."),
    "export": ("decoding.cli.export", "Write a checkpoint as an ONNX graph."),
    "features": ("decoding.cli.features", "Show what each back end has."),
    "generate": ("decoding.cli.generate", "Go on with one or more prompts."),
    "plan": ("decoding.cli.plan", "Show what a model takes in memory, before it is there."),
    "tokenize": ("decoding.cli.tokenize", "Show the token ids of a text, or the text of ids."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(COMMANDS[cmd_name][0]).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name][0]}.command is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])

    def invoke(self, ctx: click.Context) -> object:
        """Turn errors of ours into one line on stderr, and exit 1; wrong usage exits 2 (click)."""
        if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may not have every character of an answer
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except DecodingError as error:
            click.echo(f"decoding {ctx.invoked_subcommand}: {error}", err=True)
            ctx.exit(1)
        except BrokenPipeError:  # whoever read has enough: click ends quietly
            raise
        except OSError as error:
            said = error.strerror or str(error)
            said += "" if error.filename is None else f": {error.filename}"
            click.echo(f"decoding {ctx.invoked_subcommand}: {said}", err=True)
            _discard_stdout()
            ctx.exit(1)


def _discard_stdout() -> None:
    """Throw away what stdout still holds: the interpreter would try to write it again as it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Language models on a CPU, from a local folder in the format of Hugging Face."""
