"""Models in tests: a pytest plugin that times their inference and compares it with a baseline.

PYTEST_DONT_REWRITE: it has no asserts.
"""

from opclock.testing.doubts import OpclockWarning, UndecidedWarning, UnusedWarning

__all__ = ["OpclockWarning", "UndecidedWarning", "UnusedWarning"]
