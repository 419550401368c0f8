"""`python -m decoding bench`."""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING, Any

import click

from decoding.cli import options

if TYPE_CHECKING:
    from decoding.engine import Engine


@click.command("bench", short_help="Measure prefill and decode on one checkpoint.")
@options.loading
@click.option(
    "--batch",
    "batches",
    multiple=True,
    type=click.IntRange(1),
    default=(1, 8),
    show_default=True,
    help="Requests at once; may be given again.",
)
@click.option("--prompt-tokens", type=click.IntRange(1), default=128, show_default=True)
@click.option("-n", "--num-predict", type=click.IntRange(2), default=32, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Medians are shown.")
@options.as_json
def command(
    load: dict[str, Any],
    batches: tuple[int, ...],
    prompt_tokens: int,
    num_predict: int,
    rounds: int,
    as_json: bool,
) -> None:
    """Measure prefill and decode on one checkpoint, with random token ids and greedy answers."""
    rows = []
    load["context"] = load["context"] or prompt_tokens + num_predict
    with options.open_engine(load, max_batch=max(batches), share_prefixes=False) as engine:
        measure(engine, 1, min(prompt_tokens, 8), 2)  # what compiles or maps does so here
        for batch in batches:
            taken = [measure(engine, batch, prompt_tokens, num_predict) for _ in range(rounds)]
            rows.append({"batch": batch} | {k: statistics.median(t[k] for t in taken) for k in taken[0]})
    if as_json:
        click.echo(json.dumps(rows))
        return
    click.echo(f"{load['weights']} weights, {load['kv']} KV, {load['backend']}, medians of {rounds}")
    click.echo("batch   prefill tok/s   decode tok/s   first token s   CPU s / wall s")
    for row in rows:
        click.echo(
            f"{row['batch']:>5}   {row['prefill']:>13.1f}   {row['decode']:>12.1f}   {row['first']:>13.3f}"
            f"   {row['cpu_share']:>14.2f}"
        )


def measure(engine: Engine, batch: int, n_prompt: int, n_new: int) -> dict[str, float]:
    """Rates of one run, tokens a second over all requests.

    Prefill lasts until every request has its first token, decode from then on.
    """
    import numpy as np

    from decoding.sampling.params import SamplingParams

    rng = np.random.default_rng(0)
    params = SamplingParams(max_new_tokens=n_new, ignore_eos=True)
    requests = [
        engine.submit(rng.integers(0, engine.model.config.vocab, n_prompt).tolist(), params)
        for _ in range(batch)
    ]
    begun, cpu = time.perf_counter(), time.process_time()
    while any(not request.n_output for request in requests):
        engine.step()
    first = time.perf_counter()
    early = sum(request.n_output for request in requests)
    while not engine.scheduler.idle:
        engine.step()
    ended = time.perf_counter()
    return {
        "prefill": batch * n_prompt / (first - begun),
        "decode": (batch * n_new - early) / (ended - first),
        "first": first - begun,
        "cpu_share": (time.process_time() - cpu) / (ended - begun),
    }
