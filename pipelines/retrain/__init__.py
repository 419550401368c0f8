"""Refit what drifted, judge it, promote it by evidence, and show why."""
