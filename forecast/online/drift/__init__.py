"""Drift of the innovations of many streams: when a model no longer fits its series.

`DriftBank` watches standardised one-step innovations with the detectors of `DETECTORS`; `thresholds` sets
them to a wanted rate of false alarms. `InputBank` watches the regressors.
"""

from forecast.online.drift.bank import DriftBank
from forecast.online.drift.detectors import DETECTORS, Alarms
from forecast.online.drift.inputs import INPUT_DETECTORS, InputBank
from forecast.online.drift.thresholds import Thresholds, thresholds

__all__ = ["DETECTORS", "INPUT_DETECTORS", "Alarms", "DriftBank", "InputBank", "Thresholds", "thresholds"]
