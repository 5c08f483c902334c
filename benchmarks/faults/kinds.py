"""What goes wrong, as Python statements, and where in a model's file."""

from __future__ import annotations

import builtins

HEAD = """
import asyncio, gc, os, random, signal, sys, threading, time, warnings
import click, numpy, torch
from torch import nn
import opclock
class Stop(BaseException): pass
class Mute(Exception):
    def __str__(self): raise ValueError("no text")
class Odd(Exception):
    def __str__(self): return 3
class Loud(Exception):
    def __str__(self): return "word " * 300_000
def wait_for_ever():
    while True: time.sleep(0.2)
def wait_and_refuse():
    while True:
        try: time.sleep(0.2)
        except BaseException: pass
"""
_ARGUMENTS = {"UnicodeDecodeError": "'utf-8', b'x', 0, 1, 'why'", "UnicodeEncodeError": "'utf-8', 'x', 0, 1, 'why'",
              "UnicodeTranslateError": "'x', 0, 1, 'why'", "ExceptionGroup": "'two', [ValueError(1), KeyError(2)]",
              "BaseExceptionGroup": "'two', [ValueError(1), Stop()]", "OSError": "28, 'No space left on device'",
              "SystemExit": "3"}  # fmt: skip
_BUILT_IN = [
    name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
]
# By name: statements that raise. All but Ctrl-C must end in one line and exit code 2.
RAISED = {
    **{name: f"raise {name}({_ARGUMENTS.get(name, repr('two' + chr(10) + 'lines'))})" for name in _BUILT_IN},
    "exit without a code": "sys.exit()", "exit with 0": "sys.exit(0)", "exit with a text": "sys.exit('why')",
    "a class of its own": "raise Stop('now')", "a message that raises": "raise Mute", "no message": "raise Odd",
    "a long message": "raise Loud", "a cause": "raise ValueError('b') from Stop('a')",
    "Abort of click": "raise click.Abort", "Exit of click": "raise click.exceptions.Exit(0)",
    "UsageError of click": "raise click.UsageError('no')", "an error of opclock": "raise opclock.OptionError('no')",
    "a cancelled task": "raise asyncio.CancelledError", "out of memory": "raise torch.OutOfMemoryError('CUDA')",
    "a bare raise": "raise", "surrogates": r"raise RuntimeError('\udc80 \x1b[31m')", "assert": "assert False",
    "recursion": "fault()", "a warning made an error": "warnings.simplefilter('error'); warnings.warn('no')",
}  # fmt: skip
# By name: statements that change the process. The model works, and afterwards everything must be as before.
CHANGED = {
    "prints much": "for i in range(2_000): print('line', i)", "writes bytes": "os.write(1, b'bytes\\n')",
    "changes the folder": "os.chdir('/')", "replaces sys.argv": "sys.argv[:] = ['other']; sys.argv = ['more']",
    "replaces stdout": "sys.stdout = open(os.devnull, 'w')", "closes stdout": "sys.stdout.close()",
    "warnings as errors": "warnings.simplefilter('error')",
    "ignores Ctrl-C": "signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "sets a timer": "signal.signal(signal.SIGALRM, lambda *_: 1 / 0); signal.setitimer(signal.ITIMER_REAL, 9)",
    "float64": "torch.set_default_dtype(torch.float64)",
    "gradients off": "torch.set_grad_enabled(False)", "inference off": "torch.set_grad_enabled(True)",
    "deterministic": "torch.use_deterministic_algorithms(True)", "default device": "torch.set_default_device('cpu')",
    "products": "torch.set_float32_matmul_precision('medium')", "autocast": "torch.set_autocast_enabled('cpu', True)",
    "seeds": "torch.manual_seed(1); random.seed(1); numpy.random.seed(1)", "a daemon thread": "threading.Thread("
    "target=wait_for_ever, daemon=True).start()", "clears sys.path": "sys.path.clear()", "gc": "gc.collect()",
}  # fmt: skip
# By name: statements that only a process of its own can show, and the exit codes that may follow.
ENDED = {
    "os._exit": ("os._exit(3)", {2}), "os._exit with 0": ("os._exit(0)", {2}),
    "replaces itself": ("os.execl('/bin/true', 'true')", {2}), "os._exit in a thread": (
        "one = threading.Thread(target=os._exit, args=(0,)); one.start(); one.join()", {0}),
    "forks": ("child = os.fork() or os._exit(3); assert os.waitpid(child, 0)[1] == 3 << 8", {0}),
    "abort": ("os.abort()", {-6, 2}),
    "kills itself": ("os.kill(os.getpid(), 9)", {-9, 2}), "SIGTERM": ("os.kill(os.getpid(), 15)", {143, 2}),
    "Ctrl-C": ("os.kill(os.getpid(), 2)", {130, 0}), "closes 1 and 2": ("os.close(1); os.close(2)", {0}),
    "closes all others": ("os.closerange(3, 64)", {0, 2}), "closes the real stdout": ("sys.__stdout__.close()", {0}),
    "a thread that stays": ("threading.Thread(target=wait_for_ever).start()", {0}),
    "a thread that raises": ("threading.Thread(target=lambda: 1 / 0).start()", {0}),
    "hangs": ("wait_for_ever()", {130, 2}), "hangs and refuses Ctrl-C": ("wait_and_refuse()", {-2, 130, 2}),
}  # fmt: skip
PLACES = (
    "import",
    "factory",
    "constructor",
    "eval",
    "parameters",
    "reset",
    "thread",
    *(f"forward {n}" for n in (1, 2, 3, 7, 40)),
)
MODEL = """
PLACE, NTH, CALLS = {place!r}, {nth}, [0]
def fault():
    {statement}
def at(place, count=False):
    CALLS[0] += count
    if place == PLACE and (CALLS[0] == NTH or not count): fault()
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        at("constructor")
    def eval(self):
        at("eval")
        return super().eval()
    def parameters(self, recurse=True):
        at("parameters")
        return super().parameters(recurse)
    def forward(self, x):
        at("forward", True)
        if PLACE == "thread":
            one = threading.Thread(target=fault)
            one.start()
            one.join()
        return self.layer(x)
at("import")
def make():
    at("factory")
    return Net(), (torch.randn(2, 3),), {{"reset": lambda: at("reset")}}
"""


def source(statement: str, place: str) -> str:
    """The file of a model with this statement in this place; its factory is ``make``."""
    name, _, nth = place.partition(" ")
    return HEAD + MODEL.format(place=name, nth=int(nth or 0), statement=statement)
