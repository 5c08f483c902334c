"""Measures the op calls of two profiles again in turn, each side in a process of its own environment."""
