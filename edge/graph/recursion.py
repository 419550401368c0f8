"""The AR recursion in a graph, unrolled: mean path and psi weights of a batch, a row a series.

Every step is one product with the window of the last p values, summed. In float64: float32 loses up to 1e-3
of a forecast of an AR(24) whose lags cancel. Oracle: ``tests/oracles/edge_graphs.py``.
"""

from __future__ import annotations

from edge.graph.builder import Graph, Value

# Slices that go backwards end before the first element; what is beyond the shape is cut by the operator.
_BEFORE_FIRST = -(1 << 30)


def flipped(graph: Graph, rows: Value) -> Value:
    """Turn oldest first into newest first, or back."""
    return graph.slice(rows, -1, _BEFORE_FIRST, axis=1, step=-1)


def joined(graph: Graph, parts: list[Value]) -> Value:
    """Put parts side by side in time."""
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)


def path(graph: Graph, phi: Value, recent: Value, p: int, horizon: int, drive: Value | None = None) -> Value:
    """(B, H) mean path, oldest first.

    Parameters
    ----------
    phi
        (B, p) or (1, p) coefficients, p >= 1.
    recent
        (B, p) last values, newest first.
    drive
        (B, H) what is added at each step.

    Notes
    -----
    The window itself keeps the steps, and is read once in p of them: many small tensors that live
    to the end would break up the memory of a device.
    """
    parts, window = [], recent
    for k in range(horizon):
        step = _dot(graph, phi, window)
        if drive is not None:
            step = graph.add("Add", step, graph.slice(drive, k, k + 1, axis=1))
        window = step if p == 1 else joined(graph, [step, graph.slice(window, 0, p - 1, axis=1)])
        held = (k + 1) % p or p
        if held == p or k + 1 == horizon:
            part = window if held == p else graph.slice(window, 0, held, axis=1)
            parts.append(part if held == 1 else flipped(graph, part))
    return joined(graph, parts)


def psi_weights(graph: Graph, phi: Value, p: int, horizon: int) -> Value:
    """(B, H) psi_0 .. psi_{H-1} of 1 / phi(L); (1, H) where `phi` is (1, p)."""
    if horizon == 1:
        return _with_one(graph, graph.slice(phi, 0, 0, axis=1))
    window = graph.slice(phi, 0, 1, axis=1) if p > 1 else phi
    for k in range(2, horizon):
        most = min(k - 1, p)
        near = window if most == k - 1 else graph.slice(window, 0, most, axis=1)
        weight = _dot(graph, phi if most == p else graph.slice(phi, 0, most, axis=1), near)
        if k <= p:
            weight = graph.add("Add", weight, graph.slice(phi, k - 1, k, axis=1))
        window = graph.add("Concat", weight, window, axis=1)
    return _with_one(graph, flipped(graph, window) if horizon > 2 else window)


def growth(graph: Graph, psi: Value) -> Value:
    """(B, H) variance of the forecast error in units of the innovations': sums of squared psi weights."""
    return graph.add("CumSum", graph.add("Mul", psi, psi), graph.whole(1))


def _dot(graph: Graph, left: Value, right: Value) -> Value:
    return graph.add("ReduceSum", graph.add("Mul", left, right), graph.ints([1]), keepdims=1)


def _with_one(graph: Graph, rest: Value) -> Value:
    return graph.add("Pad", rest, graph.ints([0, 1, 0, 0]), graph.number(1.0))
