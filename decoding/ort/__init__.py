"""The back end of ONNX Runtime, on a graph that we write; it is what `export` writes too.

Needs `onnx` and `onnxruntime`, which the extra `lm` brings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from decoding.errors import UnsupportedError

if TYPE_CHECKING:
    from decoding.ort.exporter import export
    from decoding.ort.model import OrtModel

__all__ = ["OrtModel", "export"]

_MODULES = {"OrtModel": "decoding.ort.model", "export": "decoding.ort.exporter"}


def __getattr__(name: str) -> Any:  # noqa: ANN401  # what `__all__` names
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_MODULES[name]), name)
    except ModuleNotFoundError as fault:
        if fault.name is None or fault.name.partition(".")[0] not in ("onnx", "onnxruntime"):
            raise
        raise UnsupportedError(
            f"the ort back end needs {fault.name}, which is not installed: "
            "pip install 'forecast-platform[lm]'"
        ) from None
