"""The errors that a user can cause. Each message is one line with the offending value and the next step."""

import errno
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

TORCHSCRIPT = "Traceback of TorchScript"
CPP_BACKTRACE = "Exception raised from "  # with it begins what PyTorch adds to its messages
MAX_DESCRIPTION = 400  # characters: about four lines of a terminal
MAX_TEXT = 20_000  # characters of a message that are looked at: some hold a whole tensor
# In PyTorch's messages, which differ by its allocator.
OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


class OpclockError(Exception):
    """The base class. The command line prints the message and exits with 2."""


class ModelError(OpclockError):
    """A model cannot be found, built or run on its inputs."""


class TraceError(OpclockError):
    """The op calls of a model cannot be recorded, or a trace file cannot be read."""


class DataNeededError(TraceError):
    """A model cannot run on fake tensors, so only a real run can trace it."""


class NestedTensorError(TraceError):
    """A model makes nested tensors, which have no strides."""


class UnsteadyError(TraceError):
    """A model does not do the same in every run: chance or a state decides."""


class OpCallError(OpclockError):
    """An op call cannot be rebuilt, bound or timed."""


class ProfileError(OpclockError):
    """A profile cannot be opened, read or written."""


class ExtensionError(OpclockError):
    """The compiled part is missing, or was built for another torch than the installed one."""


class EstimateError(OpclockError):
    """The profile lacks what an estimate needs."""


class SweepError(OpclockError):
    """A sweep names an unknown family or parameter, or has no legal combination."""


class ComparisonError(OpclockError):
    """The op calls of two profiles cannot be measured again in turn."""


class GateError(OpclockError):
    """The two sides of a gate cannot be made ready, or one of them fails."""


class ReportError(OpclockError):
    """A study's file cannot be read, or belongs to another study."""


class FarmError(OpclockError):
    """A farm or a board of it cannot be reached, or cannot take part."""


class OptionError(OpclockError):
    """An option has an invalid value."""


def message_of(error: BaseException) -> str:
    """An error's message; "" where its own code fails to make one."""
    try:
        return str(error)[:MAX_TEXT]
    except Exception:
        return ""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without a backtrace; the error's type where the message is empty."""
    line = (message_of(error).strip() or type(error).__name__).splitlines()[0]
    return textwrap.shorten(line, MAX_DESCRIPTION, placeholder=" ...")


def described(error: BaseException) -> str:
    """An error of a user's code in one line: its type and its whole message, which may have had several lines."""
    text = message_of(error).partition(CPP_BACKTRACE)[0]
    if TORCHSCRIPT in text:  # the code that was run, line by line; the reason comes last
        reasons = re.findall(r"^\w+Error: (?!The following operation)(\S.*)$", text, re.MULTILINE)
        text = reasons[-1] if reasons else "an operation of TorchScript failed"
    whole = f"{type(error).__name__}: {text}" if text.strip() else type(error).__name__
    return textwrap.shorten(whole, MAX_DESCRIPTION, placeholder=" ...")


def raised(error: BaseException) -> str:
    """What a user's code did, for messages: "raised ValueError: the message", or "exited" after ``sys.exit``."""
    if isinstance(error, SystemExit):
        return f"exited ({error.code if isinstance(error.code, str) else 'sys.exit'})"
    return f"raised {described(error)}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short: Python's, the system's or PyTorch's."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = isinstance(error, RuntimeError) and any(words in message_of(error) for words in OUT_OF_MEMORY)
    return isinstance(error, MemoryError) or said


@contextmanager
def model_errors(doer: str) -> Iterator[None]:
    """Raise what a model's code raises inside the block as a ModelError. Ctrl-C and opclock's own errors pass.

    Args:
        doer: whose code it is, as the message begins: "the factory m.py:make".
    """
    try:
        yield
    except (OpclockError, KeyboardInterrupt):
        raise
    except BaseException as error:  # sys.exit, too: it would end the user's program
        raise ModelError(f"{doer} {raised(error)}") from error
