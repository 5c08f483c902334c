"""Every error a user can cause: one line that gives the offending value and the next step."""


class OpclockError(Exception):
    """The base of all of them; the command line prints its message and exits with 2."""


class ModelError(OpclockError):
    """A model that cannot be found, built or fed."""


class TraceError(OpclockError):
    """A model whose op calls cannot be recorded, or a trace file that cannot be read."""


class DataNeededError(TraceError):
    """A model that fake tensors cannot carry through: only a real run can trace it."""


class OpCallError(OpclockError):
    """An op call that cannot be rebuilt, bound or timed."""


class ProfileError(OpclockError):
    """A profile that cannot be opened, read or written."""


class ExtensionError(OpclockError):
    """The compiled part is missing, or does not fit the torch that is installed."""


class EstimateError(OpclockError):
    """An estimate that cannot be made from this profile."""


class SweepError(OpclockError):
    """A sweep that names no family or parameter there is, or leaves no legal combination."""


class ReportError(OpclockError):
    """A study's file that cannot be read, or does not belong to this one."""


class OptionError(OpclockError):
    """An option whose value makes no sense here."""


def first_line(error: BaseException) -> str:
    """What an error of somebody else's says, without its backtrace; its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
