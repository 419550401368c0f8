"""Choosing between models: metrics, backtests, order search."""
