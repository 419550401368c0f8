"""One ONNX file, ready to run: one thread, in order, no spinning, little memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BundleError, RequestError
from .memory import drop_start_pages, trim

# Series in one call of ONNX Runtime. What a recursion over so many needs stays in the cache, and is a few MB
# whatever the size of the fleet; with fewer, the time goes into calls. "size" has more nodes a call.
ROWS = {"size": 1024, "balanced": 512, "latency": 512}

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_TYPES = {"tensor(double)": np.float64, "tensor(int64)": np.int64}


class Model:
    """A session. Inputs and outputs are float64 and int64.

    Parameters
    ----------
    data
        The bytes of the .onnx file, verified.
    name
        For messages.
    profile
        "latency", "balanced" or "size", as in the manifest.

    Raises
    ------
    BundleError
        ONNX Runtime is missing, or cannot load the file.
    """

    def __init__(self, data: bytes, name: str, profile: str) -> None:
        self.name = name
        self._rows = ROWS.get(profile, max(ROWS.values()))
        self._session = _session(data, name, profile)
        self.inputs = {node.name: tuple(node.shape) for node in self._session.get_inputs()}
        self.outputs = tuple(node.name for node in self._session.get_outputs())
        self._dtypes = {node.name: _TYPES.get(node.type) for node in self._session.get_inputs()}
        if None in self._dtypes.values():
            raise BundleError(f"{name} has inputs that are neither float64 nor int64")

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run with those of `feeds` that the file has as inputs.

        Raises
        ------
        RequestError
            An input is missing, or ONNX Runtime refuses its shape.
        """
        missing = [name for name in self.inputs if name not in feeds]
        if missing:
            raise RequestError(f"{self.name} needs {missing}, got {sorted(feeds)}")
        given = {name: np.ascontiguousarray(feeds[name], dtype=dtype) for name, dtype in self._dtypes.items()}
        wanted = list(self.outputs if outputs is None else [name for name in outputs if name in self.outputs])
        try:
            found = self._in_parts(wanted, given)
        except Exception as error:  # whatever ONNX Runtime raises for shapes and kernels
            shapes = {name: array.shape for name, array in given.items()}
            raise RequestError(f"{self.name} cannot run on {shapes}: {_first_line(error)}") from None
        return dict(zip(wanted, found, strict=True))

    def _in_parts(self, outputs: list[str], given: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run some series at a time: they do not depend on each other."""
        sizes = {len(array) if array.ndim else 0 for array in given.values()}
        n = max(sizes, default=0)
        if len(sizes) != 1 or n <= self._rows:
            return list(self._session.run(outputs, given))
        found: list[NDArray[Any]] = []
        for first in range(0, n, self._rows):
            rows = slice(first, min(first + self._rows, n))
            parts = self._session.run(outputs, {name: array[rows] for name, array in given.items()})
            if not found:
                found = [np.empty((n, *part.shape[1:]), part.dtype) for part in parts]
            for whole, part in zip(found, parts, strict=True):
                whole[rows] = part
        return found


def _session(data: bytes, name: str, profile: str) -> Any:  # noqa: ANN401  # onnxruntime has no types
    try:
        import onnxruntime as ort  # 19 MB and 0.2 s: not for `status`
    except ImportError as error:
        raise BundleError(
            f"onnxruntime cannot be imported ({error}); pip install numpy onnxruntime"
        ) from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what it refuses is raised, and told in one line
    if profile == "size":
        options.enable_mem_pattern = False
        drop_start_pages()  # now as well, or there would be a peak
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever ONNX Runtime raises
        raise BundleError(
            f"{name} cannot be loaded by onnxruntime {ort.__version__}: {_first_line(error)}"
        ) from None
    trim()  # of what was decoded on the way
    drop_start_pages()
    return session


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
