"""The back end of ONNX Runtime, on a graph that we write; it is what `export` writes too.

Needs `onnx` and `onnxruntime`, which the extra `lm` brings.
"""

from __future__ import annotations

from decoding.errors import UnsupportedError

try:
    import onnx as _onnx  # noqa: F401  # only whether it is there
    import onnxruntime as _onnxruntime  # noqa: F401
except ModuleNotFoundError as fault:
    raise UnsupportedError(
        f"the ort back end needs {fault.name}, which is not installed: pip install 'forecast-platform[lm]'"
    ) from None

from decoding.ort.export import export
from decoding.ort.model import OrtModel

__all__ = ["OrtModel", "export"]
