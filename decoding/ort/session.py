"""A session of ONNX Runtime, run on memory of ours."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from onnx import ModelProto

from decoding.config import ModelConfig
from decoding.ort.buckets import Bucket
from decoding.ort.graph import past, present
from decoding.ort.tensors import Tensors
from decoding.step import F32
from forecast.types import I32, I64

# A chunk of a prompt has its own; those of decoding come back every step.
_BINDINGS: Final = 64

_CPU: Final = "cpu"


class Binding:
    """Inputs and outputs of one shape, bound to fixed memory once.

    Keys and values go in and out at the same addresses: the operator adds to them in place.

    Parameters
    ----------
    kv, row
        (layers x 2, rows, heads, length, head size), and the first of the `batch` rows that take part.
    """

    def __init__(self, session: Any, kv: F32, row: int, batch: int, tokens: int, wanted: int) -> None:  # noqa: ANN401
        self.ids = np.zeros((batch, tokens), np.int64)
        self.ends: I32 = np.zeros(batch, np.int32)
        self.longest: I32 = np.zeros((), np.int32)
        self.wanted: I64 = np.zeros(wanted, np.int64)
        self.io = session.io_binding()
        self.kv = kv  # for as long as its address is bound
        for name, array in (
            ("input_ids", self.ids),
            ("seqlens_k", self.ends),
            ("total_sequence_length", self.longest),
            ("wanted", self.wanted),
        ):
            self.io.bind_input(name, _CPU, 0, array.dtype.type, list(array.shape), array.ctypes.data)
        shape = [batch, *kv.shape[2:]]
        names = [
            (a, b) for layer in range(len(kv) // 2) for a, b in zip(past(layer), present(layer), strict=True)
        ]
        for part, (before, after) in zip(kv, names, strict=True):
            address = part[row:].ctypes.data
            self.io.bind_input(before, _CPU, 0, np.float32, shape, address)
            self.io.bind_output(after, _CPU, 0, np.float32, shape, address)


class Session:
    """Runs the packed graph.

    Parameters
    ----------
    graph, tensors
        See `decoding.ort.graph.Graph`.
    threads
        How many run an operator.
    """

    def __init__(self, config: ModelConfig, graph: ModelProto, tensors: Tensors, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self._tensors = tensors  # the session reads the arrays in place
        named = dict(tensors.items())
        values = [ort.OrtValue.ortvalue_from_numpy(array) for array in named.values()]
        options.add_external_initializers(list(named), values)
        self._session = ort.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._vocab = config.vocab
        self._bindings: OrderedDict[tuple[int, ...], Binding] = OrderedDict()

    @property
    def weight_bytes(self) -> int:
        """Bytes of the arrays beside the graph."""
        return self._tensors.n_bytes

    def run(self, bucket: Bucket, row: int, ids: I64, starts: I64, wanted: I64) -> F32:
        """Run tokens through the model, for rows of a bucket side by side.

        Parameters
        ----------
        row
            The first.
        ids
            (rows, tokens); more than one token only for one row.
        starts
            (rows,) where the first token of each stands.
        wanted
            (n_wanted,) indices into `ids`, flattened.

        Returns
        -------
        logits
            (n_wanted, vocabulary).
        """
        binding = self._binding(bucket.kv, row, *ids.shape, len(wanted))
        binding.ids[:], binding.wanted[:] = ids, wanted
        np.add(starts, ids.shape[1] - 1, out=binding.ends, casting="unsafe")
        binding.longest[...] = binding.ends.max() + 1
        logits = np.empty((len(wanted), self._vocab), np.float32)
        binding.io.bind_output("logits", _CPU, 0, np.float32, list(logits.shape), logits.ctypes.data)
        self._session.run_with_iobinding(binding.io)
        return logits

    def _binding(self, kv: F32, row: int, *sizes: int) -> Binding:
        key = kv.ctypes.data, row, *sizes
        found = self._bindings.get(key)
        if found is None:
            self._forget_former(kv)
            found = self._bindings[key] = Binding(self._session, kv, row, *sizes)
            if len(self._bindings) > _BINDINGS:
                self._bindings.popitem(last=False)
        self._bindings.move_to_end(key)
        return found

    def _forget_former(self, kv: F32) -> None:
        """Let go of the memory that rows of this length lay in before there were more of them."""
        former = [k for k, b in self._bindings.items() if b.kv.shape[3] == kv.shape[3] and b.kv is not kv]
        for key in former:
            del self._bindings[key]
