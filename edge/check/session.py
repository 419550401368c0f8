"""A session for a check: one thread, quiet, and errors as ours."""

from __future__ import annotations

from typing import Any

from edge.errors import GateError


def open_session(data: bytes) -> Any:  # noqa: ANN401  # onnxruntime has no types
    """Load a model.

    Raises
    ------
    GateError
        ONNX Runtime refuses it.
    """
    import onnxruntime as ort  # 0.2 s

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever ONNX Runtime raises
        raise GateError(f"onnxruntime {ort.__version__} cannot load the model: {first_line(error)}") from None


def first_line(error: Exception) -> str:
    """Return what an exception says, without the traces below it."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
