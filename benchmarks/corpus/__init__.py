"""Traces public architectures with fake tensors and by a real run: ``python -m benchmarks.corpus``."""
