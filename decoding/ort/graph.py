"""The graph of a model, node by node, from its configuration and its weights.

It has two faces. The packed one is what our engine steps: rows of a KV cache of fixed length, changed in
place, and logits only of the tokens that want them. The standard one has the inputs and outputs that
exported models have everywhere (`input_ids`, `attention_mask`, `past_key_values.0.key`, `logits`), with the
logits of each row's last token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from onnx import ModelProto, TensorProto, helper

from decoding.checkpoint import Checkpoint
from decoding.config import ModelConfig
from decoding.errors import UnsupportedError
from decoding.features import require
from decoding.ort.tensors import Tensors, blocks_of
from decoding.quantize import BLOCK, Precision
from decoding.rotary import angles, frequencies
from decoding.step import F32

Face: TypeAlias = Literal["packed", "standard"]

MS: Final = "com.microsoft"
_OPSET, _IR = 21, 10

# Level 4: activations become int8 in blocks, as in our own kernels.
_ACCURACY = 4
_BITS = {"int8": 8, "int4": 4}

# What GroupQueryAttention rotates in one go.
HEAD_MULTIPLE: Final = 16


class Graph:
    """Nodes in the order of their making, and the weights they read.

    Parameters
    ----------
    checkpoint
        Where the weights come from.
    precision
        Of all matrices.
    positions
        For how many the rotary angles are written down.

    Raises
    ------
    UnsupportedError
        A shape or architecture that the operators do not have.
    """

    def __init__(self, checkpoint: Checkpoint, precision: Precision, positions: int) -> None:
        self.config, self.tensors = checkpoint.config, Tensors()
        check_shape(self.config, precision)
        self._read = checkpoint.tensor
        self._precision: Precision = precision
        self._nodes: list[Any] = []
        cosines, sines = angles(frequencies(self.config), np.arange(positions, dtype=np.int32))
        self.tensors.add("cosines", cosines)
        self.tensors.add("sines", sines)

    def model(self, face: Face) -> ModelProto:
        """Write the whole graph; once.

        Raises
        ------
        CheckpointError
            A tensor that is missing, misshapen or not finite.
        """
        config = self.config
        self._constants(face)
        x = self._embed()
        norm = self._norm("model.layers.0.input_layernorm")
        normed = self._node("SimplifiedLayerNormalization", [x, norm], epsilon=config.norm_eps)
        for layer in range(config.n_layers):
            prefix, last = f"model.layers.{layer}.", layer + 1 == config.n_layers
            attended = self._attention(layer, normed)
            normed, x = self._add_and_norm(attended, x, f"{prefix}post_attention_layernorm")
            fed = self._feed_forward(prefix, normed)
            after = "model.norm" if last else f"model.layers.{layer + 1}.input_layernorm"
            normed, x = self._add_and_norm(fed, x, after, last=last)
        self._output(normed, face)
        inputs, outputs = _ends(config, face)
        graph = helper.make_graph(self._nodes, "decoder", inputs, outputs, self.tensors.protos())
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(MS, 1)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR, producer_name="forecast-platform"
        )

    def _node(
        self,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[str] = (),
        domain: str = "",
        **settings: Any,  # noqa: ANN401  # what the operator takes
    ) -> str:
        """Add a node; returns the name of its first output."""
        named = list(outputs) or [f"{op}.{len(self._nodes)}"]
        self._nodes.append(helper.make_node(op, list(inputs), named, domain=domain, **settings))
        return named[0]

    def _constants(self, face: Face) -> None:
        """Add what every layer reads: shapes, and the lengths of the rows."""
        config = self.config
        if config.qk_norm:
            widths = [config.q_width, config.kv_width, config.kv_width]
            self._node("Constant", [], ["qkv.widths"], value_ints=widths)
            self._node("Constant", [], ["heads.shape"], value_ints=[0, 0, -1, config.head_size])
            self._node("Constant", [], ["flat.shape"], value_ints=[0, 0, -1])
        if face == "standard":
            self._lengths()

    def _lengths(self) -> None:
        """Lengths of the rows, from the mask of which tokens are there."""
        self._node("Constant", [], ["one"], value_int=1)
        self._node("Constant", [], ["mask.axis"], value_ints=[1])
        counts = self._node("ReduceSum", ["attention_mask", "mask.axis"], keepdims=0)
        self._node("Cast", [self._node("Sub", [counts, "one"])], ["seqlens_k"], to=TensorProto.INT32)
        longest = self._node("Gather", [self._node("Shape", ["attention_mask"]), "one"])
        self._node("Cast", [longest], ["total_sequence_length"], to=TensorProto.INT32)

    def _norm(self, name: str) -> str:
        width = self.config.head_size if "self_attn" in name else self.config.hidden
        return self.tensors.add(name, self._read(f"{name}.weight", (width,)))

    def _add_and_norm(self, x: str, stream: str, norm: str, *, last: bool = False) -> tuple[str, str]:
        """Add to the residual stream; returns it normalised, and itself."""
        normed, added = f"{norm}.out", f"{norm}.stream"
        self._node(
            "SkipSimplifiedLayerNormalization",
            [x, stream, self._norm(norm)],
            [normed] if last else [normed, "", "", added],
            MS,
            epsilon=self.config.norm_eps,
        )
        return normed, added

    def _linear(
        self, name: str, x: str, weights: F32, bias: F32 | None = None, outputs: Sequence[str] = ()
    ) -> str:
        """Multiply by (rows, columns); returns what has `rows` columns."""
        if self._precision == "fp32":
            parts = [x, self.tensors.add(name, weights.T)]
            if bias is None:
                return self._node("MatMul", parts, outputs)
            return self._node("Add", [self._node("MatMul", parts), self.tensors.add(f"{name}.bias", bias)])
        quants, scales = blocks_of(weights, self._precision)
        parts = [x, self.tensors.add(f"{name}.quants", quants), self.tensors.add(f"{name}.scales", scales)]
        if bias is not None:
            parts += ["", "", self.tensors.add(f"{name}.bias", bias)]
        rows, columns = weights.shape
        return self._by_blocks(parts, rows, columns, outputs)

    def _by_blocks(self, parts: Sequence[str], rows: int, columns: int, outputs: Sequence[str] = ()) -> str:
        bits = _BITS[self._precision]
        sizes = {"N": rows, "K": columns, "bits": bits, "block_size": BLOCK, "accuracy_level": _ACCURACY}
        return self._node("MatMulNBits", parts, outputs, MS, **sizes)

    def _embed(self) -> str:
        config = self.config
        weights = self._read("model.embed_tokens.weight", (config.vocab, config.hidden))
        if self._precision == "fp32":
            return self._node("Gather", [self.tensors.add("embedding", weights), "input_ids"])
        quants, scales = blocks_of(weights, self._precision)
        rows = self.tensors.add("embedding.rows", quants.reshape(config.vocab, -1))
        parts = [rows, "input_ids", self.tensors.add("embedding.scales", scales)]
        if config.tied:  # the output layer reads the same memory in another shape
            self.tensors.add("embedding.quants", quants)
        sizes = {"bits": _BITS[self._precision], "block_size": BLOCK, "gather_axis": 0, "quantize_axis": 1}
        return self._node("GatherBlockQuantized", parts, (), MS, **sizes)

    def _attention(self, layer: int, x: str) -> str:
        """Attend over all of a row; returns what to add to the stream."""
        config, prefix = self.config, f"model.layers.{layer}.self_attn."
        widths = {"q": config.q_width, "k": config.kv_width, "v": config.kv_width}
        weights = [
            self._read(f"{prefix}{part}_proj.weight", (n, config.hidden)) for part, n in widths.items()
        ]
        bias = None
        if config.qkv_bias:
            bias = np.concatenate(
                [self._read(f"{prefix}{part}_proj.bias", (n,)) for part, n in widths.items()]
            )
        packed = self._linear(f"{prefix}qkv", x, np.concatenate(weights), bias)
        parts = self._normed_heads(prefix, packed) if config.qk_norm else [packed, "", ""]
        attended = self._node(
            "GroupQueryAttention",
            [*parts, *past(layer), "seqlens_k", "total_sequence_length", "cosines", "sines"],
            [f"{prefix}attended", *present(layer)],
            MS,
            num_heads=config.n_heads,
            kv_num_heads=config.n_kv_heads,
            do_rotary=1,
            scale=config.head_size**-0.5,
        )
        out = self._read(f"{prefix}o_proj.weight", (config.hidden, config.q_width))
        return self._linear(f"{prefix}o_proj", attended, out)

    def _normed_heads(self, prefix: str, packed: str) -> list[str]:
        """Take queries, keys and values apart, the first two normalised head by head."""
        config = self.config
        parts = [f"{prefix}{part}" for part in "qkv"]
        self._node("Split", [packed, "qkv.widths"], parts, axis=-1)
        for i, part in enumerate("qk"):
            heads = self._node("Reshape", [parts[i], "heads.shape"])
            norm = self._norm(f"{prefix}{part}_norm")
            normed = self._node("SimplifiedLayerNormalization", [heads, norm], epsilon=config.norm_eps)
            parts[i] = self._node("Reshape", [normed, "flat.shape"])
        return parts

    def _feed_forward(self, prefix: str, x: str) -> str:
        config = self.config
        shape = config.mlp, config.hidden
        both = [self._read(f"{prefix}mlp.{name}_proj.weight", shape) for name in ("gate", "up")]
        wide = self._linear(f"{prefix}mlp.gate_up", x, np.concatenate(both))
        gate, up = f"{prefix}mlp.gate", f"{prefix}mlp.up"
        self._node("Split", [wide], [gate, up], axis=-1, num_outputs=2)
        # With alpha 1 this is SiLU.
        gated = self._node("Mul", [self._node("QuickGelu", [gate], domain=MS, alpha=1.0), up])
        down = self._read(f"{prefix}mlp.down_proj.weight", (config.hidden, config.mlp))
        return self._linear(f"{prefix}mlp.down", gated, down)

    def _output(self, x: str, face: Face) -> None:
        """Logits of the tokens that want them, or of the last of every row."""
        config = self.config
        if face == "packed":
            self._node("Constant", [], ["rows.shape"], value_ints=[-1, config.hidden])
            chosen = self._node("Gather", [self._node("Reshape", [x, "rows.shape"]), "wanted"])
            outputs = ["logits"]
        else:
            self._node("Constant", [], ["end"], value_int=-1)
            chosen, outputs = self._node("Gather", [x, "end"], axis=1), ["logits.flat"]
        if not config.tied:
            self._linear(
                "output", chosen, self._read("lm_head.weight", (config.vocab, config.hidden)), None, outputs
            )
        elif self._precision == "fp32":
            self._node("Gemm", [chosen, "embedding"], outputs, transB=1)
        else:
            self._by_blocks(
                [chosen, "embedding.quants", "embedding.scales"], config.vocab, config.hidden, outputs
            )
        if face == "standard":
            self._node("Unsqueeze", ["logits.flat", "mask.axis"], ["logits"])


def past(layer: int) -> tuple[str, str]:
    """Names of the keys and values that go in."""
    return f"past_key_values.{layer}.key", f"past_key_values.{layer}.value"


def present(layer: int) -> tuple[str, str]:
    """Names of the keys and values that come out."""
    return f"present.{layer}.key", f"present.{layer}.value"


def check_shape(config: ModelConfig, precision: Precision) -> None:
    """Refuse what the operators cannot do.

    Raises
    ------
    UnsupportedError
        Mixtures of experts, and widths that the operators do not take.
    """
    if config.n_experts:
        require("ort", "mixture of experts")
    if config.head_size % HEAD_MULTIPLE:
        raise UnsupportedError(
            f"the ort back end rotates heads of a multiple of {HEAD_MULTIPLE}, got {config.head_size}"
        )
    if precision != "fp32" and config.hidden % BLOCK:
        raise UnsupportedError(
            f"the ort back end has {precision} weights only where the hidden width is a multiple of {BLOCK}, "
            f"got {config.hidden}"
        )


def _ends(config: ModelConfig, face: Face) -> tuple[list[Any], list[Any]]:
    """Declare inputs and outputs."""
    kv: list[str | int | None] = ["batch", config.n_kv_heads, "row", config.head_size]
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])]
    outputs = []
    if face == "packed":
        inputs += [
            helper.make_tensor_value_info("seqlens_k", TensorProto.INT32, ["batch"]),
            helper.make_tensor_value_info("total_sequence_length", TensorProto.INT32, []),
            helper.make_tensor_value_info("wanted", TensorProto.INT64, ["n_wanted"]),
        ]
        logits: list[str | int | None] = ["n_wanted", config.vocab]
    else:
        inputs.append(helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "total"]))
        logits = ["batch", 1, config.vocab]
    outputs.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits))
    for layer in range(config.n_layers):
        inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, kv) for name in past(layer)]
        outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, kv) for name in present(layer)]
    return inputs, outputs
