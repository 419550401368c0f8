"""The streaming service: ticks in, forecasts out."""
