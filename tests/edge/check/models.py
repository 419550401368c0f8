"""Small models made by hand for the checker: codes to polynomials in the three forms that files have."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

DOUBLE, INT64 = TensorProto.DOUBLE, TensorProto.INT64


class Draft:
    """Nodes and tensors of a graph; `finish` gives its bytes."""

    def __init__(self):
        self.nodes, self.tensors, self.inputs, self.outputs = [], [], [], []

    def keep(self, name, array):
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def do(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def take(self, name, kind, shape):
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def give(self, name, shape):
        self.outputs.append(helper.make_tensor_value_info(name, DOUBLE, shape))

    def model(self, opset=21, ir=10):
        graph = helper.make_graph(self.nodes, "g", self.inputs, self.outputs, self.tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)

    def finish(self, **versions):
        return self.model(**versions).SerializeToString()


def ar_file(phi, seasonal=None, gathered=True):
    """A file of n series whose polynomials `phi` (n, p) are stored as half of what they are, and doubled.

    Its output is phi times the last values. `gathered` doubles after the gather, as the size form does.
    """
    draft = Draft()
    n, p = phi.shape
    index, lags = draft.take("index", INT64, ["B"]), draft.take("lags", DOUBLE, ["B", p])
    draft.keep("two", np.array(2.0))
    draft.keep("axis", np.array([1]))
    draft.keep("scale", np.arange(n, dtype=float) + 1)
    used = [_doubled(draft, "phi", phi, gathered)]
    if seasonal is not None:
        used.append(_doubled(draft, "seasonal_phi", seasonal, gathered))
    total = draft.do("ReduceSum", [draft.do("Mul", [used[0], lags], "products"), "axis"], "sum", keepdims=1)
    if seasonal is not None:
        draft.do("ReduceSum", [used[1], "axis"], "more", keepdims=1)
        total = draft.do("Add", [total, "more"], "both")
    draft.do("Gather", ["scale", index], "scales", axis=0)
    draft.do("Unsqueeze", ["scales", "axis"], "column")
    draft.do("Mul", [total, "column"], "mean")
    draft.give("mean", ["B", 1])
    return draft


def _doubled(draft, name, phi, gathered):
    draft.keep(f"half_{name}", phi / 2)
    if gathered:
        draft.do("Gather", [f"half_{name}", "index"], f"rows_{name}", axis=0)
        return draft.do("Mul", [f"rows_{name}", "two"], name)
    draft.do("Mul", [f"half_{name}", "two"], name)
    return draft.do("Gather", [name, "index"], f"rows_{name}", axis=0)
