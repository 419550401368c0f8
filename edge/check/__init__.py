"""A second opinion on what was written: from the bytes of .onnx files, without the exporter's own arithmetic.

`read` (structure, operators), `stability` (poles of every series as the graph decodes them), `parity`
(answers against references).
"""

from edge.check.inspection import Stability, stability
from edge.check.parity import parity, relative_error
from edge.check.reading import IR_VERSION, OPERATORS, OPSET, Contents, read

__all__ = [
    "IR_VERSION",
    "OPERATORS",
    "OPSET",
    "Contents",
    "Stability",
    "parity",
    "read",
    "relative_error",
    "stability",
]
