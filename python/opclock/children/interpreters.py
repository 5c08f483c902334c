"""Whether a program that a user names is a Python that can run opclock's processes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

ANSWER_S = 60.0  # for a Python that starts from a slow SD card
MIN_VERSION = (3, 11)  # of Python, as in pyproject.toml
# Any Python answers it with one line: its version, and those modules that it lacks.
QUESTION = """
import json, sys
sys.path[:] = [place for place in sys.path if place]
lacking = []
if sys.version_info >= {version}:
    from importlib.util import find_spec
    lacking = [name for name in {modules} if find_spec(name) is None]
print(json.dumps([list(sys.version_info[:3]), lacking]))
"""


def fault_of(program: str, modules: Sequence[str]) -> str:
    """What keeps a program from running opclock's processes.

    Args:
        program: its path.
        modules: top-level ones, which it needs to find.

    Returns:
        A sentence about the program, with the next step; "" where nothing does.
    """
    question = QUESTION.format(version=MIN_VERSION, modules=list(modules))
    try:
        done = subprocess.run(
            [program, "-c", question], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=ANSWER_S, check=False,
        )  # fmt: skip
        version, lacking = json.loads(done.stdout)
        text = ".".join(str(int(number)) for number in version)
    except OSError as error:
        return f"it cannot be started ({error.strerror}); name a Python interpreter"
    except subprocess.TimeoutExpired:
        return f"it does not answer within {ANSWER_S:.0f} s; name a Python interpreter"
    except (ValueError, TypeError):
        return "it is no Python interpreter"
    if tuple(version[:2]) < MIN_VERSION:
        return f"it is Python {text}, and opclock needs {'.'.join(map(str, MIN_VERSION))} or later"
    if lacking:
        return f"it lacks {', '.join(lacking)}: run '{program} -m pip install {' '.join(lacking)}'"
    return ""
