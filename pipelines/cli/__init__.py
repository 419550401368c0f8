"""The command line: `forecast COMMAND`; each command's module is imported when it is called."""

from __future__ import annotations

import logging
import warnings
from importlib import import_module
from typing import Final, NoReturn

import click

import forecast
from forecast.errors import ForecastError, InferredFrequency
from pipelines.cli.output import LOG_FORMAT, discard_stdout, open_closed, reader_may_leave, said, tell
from pipelines.errors import PipelineError

# Name, module and the line that `forecast --help` shows; a test holds these to the commands themselves.
COMMANDS: Final = {
    "backtest": ("pipelines.cli.backtest", "Score models on rolling origins of a file."),
    "check": ("pipelines.cli.check", "Report stationarity and data quality of a file."),
    "compare": ("pipelines.cli.compare", "Compare the training runs of a fleet that MLflow holds."),
    "db": ("pipelines.cli.db", "Upgrade, check or downgrade the store's schema."),
    "demo": ("pipelines.cli.demo", "Check, fit, backtest and forecast real data; write pictures."),
    "export": ("pipelines.cli.export", "Write a signed bundle of a model for small devices."),
    "export-key": (
        "pipelines.cli.export_key",
        "Make a key to sign bundles with, and the file that devices trust.",
    ),
    "models": ("pipelines.cli.models", "List, show, promote and roll back the model versions of the store."),
    "monitor": ("pipelines.cli.monitor", "Watch a stream of forecasts for drift."),
    "predict": ("pipelines.cli.predict", "Forecast from a stored model to a Parquet or CSV file."),
    "produce": ("pipelines.cli.produce", "Replay a file as ticks to Kafka, or to an embedded log."),
    "retrain": ("pipelines.cli.retrain", "Refit what drifted, and promote what is better."),
    "stream": ("pipelines.cli.stream", "Forecast a stream of ticks, exactly once."),
    "tail": ("pipelines.cli.tail", "Print the forecast stream, as it comes."),
    "train": ("pipelines.cli.train", "Fit, backtest, store and register a fleet; resumable."),
    "warm": ("pipelines.cli.warm", "Compile all kernels into the cache, for an image build."),
}

# Extra of the package that brings a module.
_EXTRAS: Final = {
    "alembic": "track",
    "crc32c": "stream",
    "cryptography": "edge",
    "kafka": "stream",
    "matplotlib": "plot",
    "fastavro": "formats",
    "google": "formats",
    "mlflow": "track",
    "msgspec": "stream",
    "onnx": "edge",
    "onnxruntime": "edge",
    "prometheus_client": "stream",
    "psycopg": "postgres",
    "pydantic": "track",
    "pydantic_settings": "track",
    "sqlalchemy": "track",
}

# EX_TEMPFAIL of sysexits.h: what schedulers and mail systems read as "try again later".
EXIT_LATER: Final = 75
# 128 and the number of SIGINT, as shells do.
EXIT_INTERRUPTED: Final = 130


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
        """Turn errors of ours into one line on stderr, and exit 1, or 75 where a later try can succeed.

        Wrong usage exits 2 (click), an interrupt 130. A reader of stdout that leaves is no error.
        """
        open_closed()
        try:
            with warnings.catch_warnings(), reader_may_leave():
                warnings.simplefilter("always", InferredFrequency)
                warnings.showwarning = _say
                return super().invoke(ctx)
        except (ForecastError, PipelineError) as error:
            _fail(ctx, str(error), EXIT_LATER if error.retriable else 1)
        except ModuleNotFoundError as error:
            module = (error.name or "").partition(".")[0]
            if module not in _EXTRAS:
                raise
            _fail(ctx, f"{module} is not installed: pip install 'forecast-platform[{_EXTRAS[module]}]'", 1)
        except OSError as error:
            line = said(error)
            if line.startswith("standard output"):
                discard_stdout()
            _fail(ctx, line, 1)
        except KeyboardInterrupt:
            _fail(ctx, "stopped", EXIT_INTERRUPTED)
        except click.ClickException as error:
            if ctx.meta.get(LOG_FORMAT) != "json":
                raise
            _fail(ctx, error.format_message(), error.exit_code)


def _fail(ctx: click.Context, message: str, exit_code: int) -> NoReturn:
    command = f"forecast {ctx.invoked_subcommand}"
    tell(f"{command}: {message}", logging.ERROR, exit_code=exit_code)
    raise click.exceptions.Exit(exit_code)


def _say(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning for people at a terminal: one line, no source."""
    tell(f"note: {message}")


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(forecast.__version__, prog_name="forecast")
def main() -> None:
    """Autoregressive forecasting for panels of time series."""
