"""Runs the graphs of a folder: `python graph_runner.py FOLDER`.

It does so in any environment, and imports no more than NumPy, ONNX Runtime and the standard library. Of
every `NAME.onnx` the inputs stand in `NAME.in.npz`, the outputs go to `NAME.out.npz`. An input called
`ticks.X` has a first axis of ticks, of which X gets one after the other; the outputs are then stacked over
the ticks, and an output `X_out` is the input X of the next tick.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

TICKS, CARRIED = "ticks.", "_out"


def open_session(model: str | bytes) -> ort.InferenceSession:
    """Open a graph as a device does: one thread that does not spin, no word on stderr short of an error."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_graph(model: str | bytes, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the outputs of one graph by name, over all ticks where there are any."""
    session = open_session(model)
    names = [output.name for output in session.get_outputs()]
    ticked = {key.removeprefix(TICKS): value for key, value in inputs.items() if key.startswith(TICKS)}
    feed = {key: value for key, value in inputs.items() if not key.startswith(TICKS)}
    if not ticked:
        return dict(zip(names, session.run(names, feed), strict=True))
    found = []
    for tick in range(len(next(iter(ticked.values())))):
        feed |= {key: value[tick] for key, value in ticked.items()}
        outputs = session.run(names, feed)
        found.append(outputs)
        feed |= {
            name.removesuffix(CARRIED): value
            for name, value in zip(names, outputs, strict=True)
            if name.endswith(CARRIED)
        }
    return {name: np.stack(values) for name, values in zip(names, zip(*found, strict=True), strict=True)}


def main(folder: Path) -> None:
    for path in sorted(folder.glob("*.onnx")):
        with np.load(folder / f"{path.stem}.in.npz", allow_pickle=False) as inputs:
            outputs = run_graph(str(path), dict(inputs))
        np.savez(folder / f"{path.stem}.out.npz", **outputs)
    facts = {"onnxruntime": ort.__version__, "numpy": np.__version__, "machine": platform.machine()}
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
