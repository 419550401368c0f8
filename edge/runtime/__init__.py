"""The device side of an edge bundle: numpy, onnxruntime and the standard library, nothing else."""
