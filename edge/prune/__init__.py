"""Fewer lags: lag subsets chosen on the data, or small partial autocorrelations set to zero without data."""

from __future__ import annotations

from edge.prune.lags import prune_lags
from edge.prune.parcors import prune_parcors
from edge.prune.pruned import Pruned

__all__ = ["Pruned", "prune_lags", "prune_parcors"]
