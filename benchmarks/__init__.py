"""opclock against its peers and against real models: `python -m benchmarks.NAME` from the root of the repository."""
