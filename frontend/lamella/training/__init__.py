"""Training: from a compiled model to steps, chunks, epochs and logs."""
