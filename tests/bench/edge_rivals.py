"""ONNX Runtime's own quantisation tools on the forecast matrix of an AR model.

The model is the plain one, mean = lags W with W (p, H) in float32. Each tool makes another model of it, which
runs as ONNX Runtime sees fit (integer kernels where it has them), one series a call. What it loses is
measured on values of the series' own law: with x of the autocovariance and y the answer, the mean square of
y - W'x joins the variance of the forecast. What it makes of the model's poles is measured on its answers one
step ahead to each lag alone: these are the coefficients that a recursion by this file would have.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from edge.check.poles import largest_pole

CALIBRATION, TEST = 256, 128


def tools():
    """Name -> function of (float model, calibration inputs, W) to a quantised model, as bytes."""
    return {
        "quantize_dynamic, int8": _dynamic,
        "quantize_static, QDQ u8/s8": _static,
        "DequantizeLinear int8 + MatMul": lambda _model, _inputs, w: _dequantized(w, 8),
        "DequantizeLinear int4 + MatMul": lambda _model, _inputs, w: _dequantized(w, 4),
    }


def rises_and_poles(target, tool, rng):
    """(n,) mean rise of the forecast RMSE by `tool` for the models of a `Target`, and (n,) largest poles."""
    out, first = np.empty(len(target.a)), np.empty(target.a.shape)
    for i in range(len(out)):
        w = np.ascontiguousarray(target.weights[i].T.astype(np.float32))
        inputs = (target.root[i] @ rng.normal(size=(len(w), CALIBRATION + TEST))).T.astype(np.float32)
        made = tool(plain(w), inputs[:CALIBRATION], w)
        x = inputs[CALIBRATION:]
        off = run(made, x) - x.astype(np.float64) @ target.weights[i].T
        out[i] = (np.sqrt(1.0 + np.mean(off**2, axis=0) / target.spread[i]) - 1.0).mean()
        alone = np.abs(inputs[:CALIBRATION]).max() / 2.0  # of a size that it was calibrated on
        first[i] = run(made, alone * np.eye(len(w), dtype=np.float32))[:, 0] / alone
    return out, largest_pole(first)


def plain(w):
    """The float model, bytes."""
    product = helper.make_node("MatMul", ["lags", "w"], ["mean"])
    return _model([product], [numpy_helper.from_array(w, "w")], w.shape)


def run(data, lags):
    """Answers (n, H) float64 of a model to lags (n, p)."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    rows = [session.run(["mean"], {"lags": row[None]})[0] for row in lags]
    return np.concatenate(rows).astype(np.float64)


class Reader(CalibrationDataReader):
    """Calibration inputs, one batch."""

    def __init__(self, lags):
        self.left = iter([{"lags": lags}])

    def get_next(self):
        return next(self.left, None)


def _dynamic(model, _inputs, _w):
    def call(a, b):
        quantize_dynamic(a, b, per_channel=True, weight_type=QuantType.QInt8)

    return _through_files(model, call)


def _static(model, inputs, _w):
    def call(a, b):
        quantize_static(
            a, b, Reader(inputs), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip

    return _through_files(model, call)


def _dequantized(w, bits):
    """Weights in 8 or 4 bits, one scale a column."""
    most = 2 ** (bits - 1) - 1
    scale = (np.abs(w).max(axis=0) / most).astype(np.float32)
    codes = np.rint(w / np.where(scale > 0, scale, 1)).astype(np.int8)
    kind = TensorProto.INT8 if bits == 8 else TensorProto.INT4
    stored = helper.make_tensor("codes", kind, codes.shape, codes.ravel().tolist())
    nodes = [
        helper.make_node("DequantizeLinear", ["codes", "scale"], ["w"], axis=1),
        helper.make_node("MatMul", ["lags", "w"], ["mean"]),
    ]
    return _model(nodes, [stored, numpy_helper.from_array(scale, "scale")], w.shape)


def _model(nodes, tensors, shape):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", k])
            for name, k in zip(("lags", "mean"), shape, strict=True)]  # fmt: skip
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    ).SerializeToString()


def _through_files(model, call):
    # They advise, with every model, to simplify it first; there is nothing to simplify in one product.
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "a.onnx", Path(folder) / "b.onnx"
        before.write_bytes(model)
        call(str(before), str(after))
        return after.read_bytes()
