"""ONNX graphs from a fleet: the stateless forecast (`model`) and the Kalman step (`step`)."""
