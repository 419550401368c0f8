"""Quantised AR coefficients that cannot become unstable, and what each of them costs.

`quantize` codes a fleet for `model.onnx`. Below it, on plain arrays: `code` (any models), `decode` (codes to
lag coefficients, as the graph does it), `split` (16 bits to two int8).
"""

from edge.quantize.codec import decode, parcor, split
from edge.quantize.models import MAX_RISE, CodedModels, Models, code
from edge.quantize.quantized import Quantized, quantize

__all__ = ["MAX_RISE", "CodedModels", "Models", "Quantized", "code", "decode", "parcor", "quantize", "split"]
