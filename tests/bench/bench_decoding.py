"""Tokens a second of the decoding engine against its rivals: ``python -m tests.bench.bench_decoding``.

The shape of SmolLM-135M with random weights, a prompt of 128 tokens, then batches of 1, 8 and 16 at 128
tokens of depth; with 1 and 2 threads. Systems take turns in every round, so that what else the machine does
meets all of them; each rival is a process of its own in `.venv-rivals-decoding` (`make rivals-decoding`;
without it, ours alone are measured). With one thread, systems are compared by the median of their rates by
CPU time, which other work changes least; with more, by their best rates by wall time, since threads that wait
for a core spin away CPU time. The limit of a batch of one is the memory: the bytes of the weights at the rate
of a loop that only reads, measured in the same rounds.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median

from decoding.ort import export
from tests.bench.bandwidth import Reader
from tests.bench.checkpoints import write_smollm
from tests.bench.decoding_requests import batching_line, first_token_line
from tests.bench.decoding_systems import BATCHES, PROMPT, STEPS, Ours
from tests.bench.measure import arguments, conclude, show
from tests.bench.rival_loop import RIVALS, ROOT, Rival

OURS = (("numba", "fp32"), ("numba", "int8"), ("numba", "int4"), ("ort", "fp32"), ("ort", "int4"))
BEST, GENAI, LLAMA = "numba int4", "genai int4", "llama.cpp q4_0"
# Ours, the rivals of which the better counts, case, floor.
FLOORS = (
    (BEST, (GENAI,), 1, 1.0),
    (BEST, (LLAMA,), 1, 0.9),
    (BEST, (GENAI, LLAMA), 8, 0.9),
    (BEST, (GENAI, LLAMA), 16, 0.9),
    (BEST, (GENAI, LLAMA), "prefill", 0.9),
    (BEST, ("ort fp32",), 1, 3.5),
)
# Of the measured limit, int8, batch of one, one thread, by CPU time.
BANDWIDTH_FLOOR = 0.4
# Many requests against one at a time, for the precision of `Engine.load`; the others are shown: the less of a
# batch of one is spent on reading weights, the less there is to share.
BATCHING_FLOORS = {"fp32": 2.5, "int8": None, "int4": None}
FIRST_TOKEN_FLOOR = 2.0
READS = 5
PACKAGES = ("numpy", "numba", "onnxruntime", "safetensors")
CASES = ("prefill", *BATCHES)


def open_systems(folder, threads, stack):
    """Load everything that is there."""
    model = folder / "model"
    ours = [Ours(model, backend, weights, n) for n in threads for backend, weights in OURS]
    rivals = []
    if RIVALS.is_file():
        gguf, graph = folder / "llama.gguf", folder / "genai"
        write = [str(RIVALS), "-m", "tests.bench.rival_llama", "write", str(model), str(gguf)]
        subprocess.run(write, cwd=ROOT, check=True, capture_output=True)
        export(model, graph, weights="int4", context=2 * PROMPT)
        for n in threads:
            rivals.append(Rival(LLAMA, "tests.bench.rival_llama", n, "serve", gguf))
            rivals.append(Rival(GENAI, "tests.bench.rival_genai", n, graph))
    for system in (*ours, *rivals):
        stack.enter_context(closing(system))
    return [*ours, *rivals]


def round_of(systems, readers, rates, limits):
    for threads, reader in readers.items():
        limits.setdefault(threads, []).extend(reader.rates() for _ in range(READS))
    for system in systems:
        for case in CASES:
            time.sleep(0.02)  # whoever had its turn has stopped waiting for more
            found = system.prefill_rate(PROMPT) if case == "prefill" else system.decode_rate(case, STEPS)
            rates.setdefault((system.name, system.threads, case), []).append(found)


def named(case):
    return f"prefill {PROMPT}" if case == "prefill" else f"batch {case}"


def lines_of(rates):
    """What each system did."""
    for (name, threads, case), found in rates.items():
        wall, cpu = zip(*found, strict=True)
        yield {
            "what": name, "threads": threads, "case": named(case),
            "wall": median(wall), "best": max(wall), "cpu": median(cpu), "cpu_best": max(cpu),
        }  # fmt: skip


def rate(rates, name, threads, case):
    """The rate by which systems are compared."""
    wall, cpu = zip(*rates[name, threads, case], strict=True)
    return median(cpu) if threads == 1 else max(wall)


def ratios_of(rates, threads):
    """Ours against the better of some, and the floor."""
    for ours, others, case, floor in FLOORS:
        for n in threads:
            there = [name for name in others if (name, n, case) in rates]
            if there:
                better = max(there, key=lambda name: rate(rates, name, n, case))
                ratio = rate(rates, ours, n, case) / rate(rates, better, n, case)
                what = {"what": f"{ours} / {better}", "threads": n, "case": named(case)}
                yield what | {"ratio": ratio, "floor": floor, "passed": ratio >= floor}


def bandwidth_lines(rates, limits, weight_bytes):
    """What a batch of one reads of what can be read, the same CPU or wall seconds.

    The limit is the best rate of all rounds: a reader that was disturbed would make us look better.
    """
    for n, found in limits.items():
        limit = max(each[1 if n == 1 else 0] for each in found)
        share = rate(rates, "numba int8", n, 1) * weight_bytes / 1e9 / limit
        line = {"what": "numba int8 / memory limit", "threads": n, "case": "batch 1", "ratio": share}
        yield line | ({"floor": BANDWIDTH_FLOOR, "passed": share >= BANDWIDTH_FLOOR} if n == 1 else {})


def measure(args, folder):
    """All lines, and facts of the run."""
    threads = range(1, args.threads + 1)
    rates, limits = {}, {}
    with ExitStack() as stack:
        systems = open_systems(folder, threads, stack)
        readers = {n: Reader(256 << 20, n) for n in threads}
        for _ in range(args.rounds):
            round_of(systems, readers, rates, limits)
        weight_bytes = next(s for s in systems if s.name == "numba int8").model.weight_bytes
        facts = {s.name: s.facts for s in systems if s.facts}
    lines = [*lines_of(rates), *ratios_of(rates, threads), *bandwidth_lines(rates, limits, weight_bytes)]
    for weights, floor in BATCHING_FLOORS.items():
        lines += [batching_line(folder / "model", weights, n, floor) for n in threads]
    lines.append(first_token_line(folder / "model", FIRST_TOKEN_FLOOR))
    bandwidth = {n: [max(each) for each in zip(*found, strict=True)] for n, found in limits.items()}
    return lines, {"bandwidth_gb_s": bandwidth, "rivals": facts}


def main():
    args = arguments(__doc__, rounds=7, threads=2)
    with tempfile.TemporaryDirectory() as folder:
        write_smollm(Path(folder) / "model")
        lines, facts = measure(args, Path(folder))
    columns = [
        ("what", "", ""), ("threads", "threads", "d"), ("case", "case", ""),
        ("wall", "tok/s", ".0f"), ("best", "best", ".0f"), ("cpu", "tok/CPU s", ".0f"),
        ("cpu_best", "best", ".0f"), ("ratio", "ratio", ".2f"), ("floor", "floor", ".1f"),
    ]  # fmt: skip
    notes = [
        f"reading memory, {n} threads, at best: {wall:.1f} GB/s wall, {cpu:.1f} GB/CPU s"
        for n, (wall, cpu) in facts["bandwidth_gb_s"].items()
    ]
    if not RIVALS.is_file():
        notes.append("no rivals measured: make rivals-decoding")
    show(lines, columns, f"SmolLM-135M shape, random weights, {args.rounds} rounds in turns", notes)
    return conclude("decoding", args, lines, PACKAGES, **facts)


if __name__ == "__main__":
    sys.exit(main())
