"""Tokens a second of the decoding engine's models: ``python -m tests.bench.bench_decoding``.

The shape of SmolLM-135M with random weights, a prompt of 128 tokens, then batches of 1, 8 and 16 at 128
tokens of depth; every precision with 1 and 2 threads. Systems take turns in every round, so that what else
the machine does meets all of them. Wall time is what a user sees; CPU time is what other work on the same
cores changes least. The limit of a batch of one is the memory: the bytes of the weights at the rate of a
loop that only reads, measured in the same rounds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from decoding.numba_model import NumbaModel
from decoding.quantize import PRECISIONS
from decoding.step import StepBatch
from tests.bench.bandwidth import Reader
from tests.bench.checkpoints import write_smollm
from tests.bench.measure import arguments, conclude, show

PROMPT, STEPS, BATCHES, BLOCK = 128, 12, (1, 8, 16), 32
BLOCKS_A_SLOT = -(-(PROMPT + STEPS) // BLOCK)
# Of the measured limit, int8, batch of one, one thread, by CPU time.
BANDWIDTH_FLOOR = 0.4
PACKAGES = ("numpy", "numba", "safetensors")


class Native:
    """Our own kernels. A rival has the same three methods and `name`, `threads`, `weight_bytes`."""

    def __init__(self, folder, weights, threads):
        self.name, self.threads = f"numba {weights}", threads
        slots = max(BATCHES)
        self.model = NumbaModel.load(
            folder, weights=weights, threads=threads, n_blocks=slots * BLOCKS_A_SLOT, block_size=BLOCK
        )
        self.table = np.arange(slots * BLOCKS_A_SLOT, dtype=np.int32).reshape(slots, -1)
        self.weight_bytes = self.model._weights.n_bytes
        rng = np.random.default_rng(0)
        self.prompt = rng.integers(0, self.model.config.vocab, PROMPT)
        self.next = rng.integers(0, self.model.config.vocab, (STEPS, slots))
        for slot in range(slots):
            self.prefill(slot)

    def prefill(self, slot=0):
        """Read the prompt; the logits of its last token."""
        places = np.arange(PROMPT)
        return self.model.step(
            StepBatch(self.prompt, np.full(PROMPT, slot), places, places, places == PROMPT - 1, self.table)
        )

    def decode(self, batch, step):
        """One token more for every sequence; their logits."""
        places = np.full(batch, PROMPT + step)
        wanted = np.ones(batch, np.bool_)
        return self.model.step(
            StepBatch(self.next[step, :batch], np.arange(batch), places, places, wanted, self.table)
        )

    def close(self):
        self.model.close()


def timed(work, tokens):
    """Tokens a second by wall time and by CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return tokens / (time.perf_counter() - wall), tokens / (time.process_time() - cpu)


def decoding(system, batch):
    for step in range(STEPS):
        system.decode(batch, step)


def round_of(systems, readers, rates, limits):
    for threads, reader in readers.items():
        limits.setdefault(threads, []).append(reader.rates())
    for system in systems:
        key = system.name, system.threads
        rates.setdefault((*key, "prefill"), []).append(timed(system.prefill, PROMPT))
        for batch in BATCHES:
            found = timed(lambda s=system, b=batch: decoding(s, b), batch * STEPS)
            rates.setdefault((*key, batch), []).append(found)


def lines_of(systems, rates, limits):
    for system in systems:
        for what in ("prefill", *BATCHES):
            wall, cpu = zip(*rates[system.name, system.threads, what], strict=True)
            line = {
                "what": system.name,
                "threads": system.threads,
                "case": "prefill 128" if what == "prefill" else f"batch {what}",
                "wall": median(wall),
                "best": max(wall),
                "cpu": median(cpu),
                "cpu_best": max(cpu),
            }
            if what == 1:
                limit_wall, limit_cpu = (median(rate) for rate in zip(*limits[system.threads], strict=True))
                line["share"] = median(wall) * system.weight_bytes / 1e9 / limit_wall
                line["cpu_share"] = median(cpu) * system.weight_bytes / 1e9 / limit_cpu
                if (system.name, system.threads) == ("numba int8", 1):
                    line["passed"] = line["cpu_share"] >= BANDWIDTH_FLOOR
            yield line


def main():
    args = arguments(__doc__, rounds=7, threads=2)
    with tempfile.TemporaryDirectory() as folder:
        path = write_smollm(Path(folder))
        threads = range(1, args.threads + 1)
        systems = [Native(path, weights, n) for n in threads for weights in PRECISIONS]
    readers = {n: Reader(256 << 20, n) for n in threads}
    rates, limits = {}, {}
    for _ in range(args.rounds):
        round_of(systems, readers, rates, limits)
    lines = list(lines_of(systems, rates, limits))
    columns = [
        ("what", "", ""), ("threads", "threads", "d"), ("case", "case", ""),
        ("wall", "tok/s", ".0f"), ("best", "best", ".0f"), ("cpu", "tok/CPU s", ".0f"),
        ("cpu_best", "best", ".0f"), ("share", "of limit", ".0%"), ("cpu_share", "CPU", ".0%"),
    ]  # fmt: skip
    limit = {n: [median(rate) for rate in zip(*found, strict=True)] for n, found in limits.items()}
    notes = [
        f"reading memory, {n} threads: {wall:.1f} GB/s wall, {cpu:.1f} GB/CPU s"
        for n, (wall, cpu) in limit.items()
    ]
    show(
        lines, columns, f"SmolLM-135M shape, random weights, medians of {args.rounds} rounds in turns", notes
    )
    for system in systems:
        system.close()
    return conclude("decoding", args, lines, PACKAGES, bandwidth_gb_s=limit)


if __name__ == "__main__":
    sys.exit(main())
