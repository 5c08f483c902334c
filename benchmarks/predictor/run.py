"""The same as ``python -m benchmarks.predictor``, by the path of this file."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    runpy.run_module("benchmarks.predictor", run_name="__main__", alter_sys=True)
