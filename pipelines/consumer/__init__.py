"""Reading the forecast stream: one by one, in columns, or as a pandas frame."""

from pipelines.consumer.columns import ForecastBatch
from pipelines.consumer.sources import Start
from pipelines.consumer.stream import Counts, ForecastStream

__all__ = ["Counts", "ForecastBatch", "ForecastStream", "Start"]
