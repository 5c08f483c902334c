"""Runtimes that can run a model on a board, one file each: PyTorch and others."""
