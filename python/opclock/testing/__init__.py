"""Models in tests: a pytest plugin that times their inference and compares it with a baseline."""
