"""A Trace: the op calls of one model for one input, in order. Reading one needs no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from opclock.argument_checks import checked
from opclock.errors import TraceError
from opclock.files import check_writable, write_json
from opclock.notebook import ShownInNotebooks
from opclock.tracing.known_values import KnownValues
from opclock.tracing.op_call import OpCall, TensorSpec, Value, decode, encode, tensors

SCHEMA = "opclock.trace/1"

StorageKind = Literal["weight", "input", "activation"]
Step = Literal["gradients", "padded", "uncompiled"]  # what ``steps.py`` does to a model


@dataclass(frozen=True)
class Storage:
    """One block of memory that holds tensors of the model."""

    kind: StorageKind  # "weight": parameters, buffers and constants
    nbytes: int
    freed_before: int  # the op call before which it is freed; the number of calls where it never is


@dataclass(frozen=True)
class TracedCall:
    """One op call at its place in the model."""

    call: OpCall
    outputs: tuple[Value, ...]
    reads: tuple[int, ...]  # the storage of each of call.tensors()
    writes: tuple[int, ...]  # storages created or changed by the call
    module: str = ""  # path in the model: "features.0.conv"; "" for the model itself
    module_type: str = ""  # class name of that module
    values: tuple[tuple[int, KnownValues], ...] = ()  # of integer and boolean arguments, by number in call.tensors()
    recorded_operator: str = ""  # where another operator was put in its place, see ``Trace.replace``

    @property
    def launches(self) -> bool:
        """Whether a kernel runs for it. None runs for views and for new, uninitialised memory."""
        answers = not list(tensors(self.outputs))  # a plain number: the host waits for it
        return "empty" not in self.call.name and (bool(self.writes) or answers)

    @property
    def host_operator(self) -> str:
        """The operator whose host work is done: the recorded one."""
        return self.recorded_operator or self.call.operator

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, the inverse of from_json."""
        return {
            **self.call.to_json(),
            "outputs": encode(self.outputs),
            "reads": list(self.reads),
            "writes": list(self.writes),
            "module": self.module,
            "module_type": self.module_type,
            **({"values": {str(number): known.to_json() for number, known in self.values}} if self.values else {}),
            **({"recorded_operator": self.recorded_operator} if self.recorded_operator else {}),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> TracedCall:
        """Rebuild from ``to_json``."""
        return TracedCall(
            OpCall.from_json(data),
            decode(data["outputs"]),
            tuple(data["reads"]),
            tuple(data["writes"]),
            data["module"],
            data["module_type"],
            tuple((int(number), KnownValues.from_json(known)) for number, known in data.get("values", {}).items()),
            data.get("recorded_operator", ""),
        )


@dataclass(frozen=True)
class Trace(ShownInNotebooks):
    """The op calls of one inference of a model, with everything that does not depend on the board."""

    model: str
    inputs: tuple[TensorSpec, ...]
    parameters: int
    module_calls: int  # number of calls of modules' forward
    storages: tuple[Storage, ...]
    calls: tuple[TracedCall, ...]
    real: bool = False  # recorded by a real run instead of with fake tensors
    note: str = ""  # what the user should know about the recording, in one line
    steps: tuple[Step, ...] = ()  # without which the model does not do what was recorded, see ``steps.py``
    code: str = ""  # hash of the model's own code, see ``code_hash.py``; "" where there is none, or it was not kept
    python_calls: tuple[int, ...] = ()  # Python functions called before each op call, and after the last; () if unknown

    @cached_property
    def unique(self) -> dict[str, OpCall]:
        """The distinct op calls by key, in the order of their first use."""
        return {traced.call.key: traced.call for traced in self.calls}

    @cached_property
    def working_set(self) -> int:
        """Bytes that one inference touches: weights, inputs that it writes, and the peak of activations at once."""
        used = {number for traced in self.calls for number in (*traced.reads, *traced.writes)}
        weights = sum(self.storages[number].nbytes for number in used if self.storages[number].kind == "weight")
        written = {number for traced in self.calls for number in traced.writes}
        inputs = sum(self.storages[number].nbytes for number in written if self.storages[number].kind == "input")
        packed = {(traced.module, one) for traced in self.calls for one in traced.call.packed}  # a cell runs each step
        return weights + sum(one.nbytes for _, one in packed) + inputs + self._peak_activations()

    @cached_property
    def run_bytes(self) -> int:
        """Bytes that one inference allocates: the peak of activations, and the largest copies of expanded arguments."""
        copies = (traced.call.expanded_bytes for traced in self.calls if traced.launches)
        return self._peak_activations() + max(copies, default=0)

    def _peak_activations(self) -> int:
        change = [0] * (len(self.calls) + 1)
        for position, new in enumerate(self.allocations):
            for number in new:
                change[position] += self.storages[number].nbytes
                change[self.storages[number].freed_before] -= self.storages[number].nbytes
        alive = peak = 0
        for step in change:
            alive += step
            peak = max(peak, alive)
        return peak

    @cached_property
    def allocations(self) -> tuple[tuple[int, ...], ...]:
        """By op call: the storages that its outputs allocate."""
        new: list[tuple[int, ...]] = []
        known: set[int] = set()
        for traced in self.calls:
            known.update(traced.reads)
            new.append(tuple(number for number in traced.writes if number not in known))
            known.update(traced.writes)
        return tuple(new)

    @property
    def input_text(self) -> str:
        """The inputs' shapes as text: "1x3x32x32", several joined by commas; "scalar" without dimensions."""
        return ",".join("x".join(map(str, spec.shape)) or "scalar" for spec in self.inputs)

    @cached_property
    def device(self) -> str:
        """The device of the op calls' tensors; "cpu" where there are none."""
        return next((spec.device for traced in self.calls for spec in traced.call.tensors()), "cpu")

    @cached_property
    def dtype(self) -> str:
        """The dtype of the first floating-point input or op call argument; "float32" where there are none."""
        specs: Iterable[TensorSpec] = (*self.inputs, *(spec for traced in self.calls for spec in traced.call.tensors()))
        return next((spec.dtype for spec in specs if "float" in spec.dtype), "float32")

    @checked
    def replace(self, operators: Mapping[str, str]) -> Trace:
        """Put other operators in place of some, to ask what they would change.

        Only operators of one or two tensors whose answer has their shape can be replaced, by one another, so that the
        rest of the model stays as it is. The new operator takes the tensors of the old one, and its own defaults. The
        host's work is taken to stay as it is.

        Args:
            operators: new operators by old ones, such as {"aten::gelu": "aten::relu"}.

        Returns:
            The changed trace; its name says what was replaced.

        Raises:
            TraceError: the model does not call an old operator, or a new one cannot stand in its place.
        """
        from opclock.tracing.replacement import replaced

        return replaced(self, operators)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, the inverse of from_json."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "inputs": encode(self.inputs),
            "parameters": self.parameters,
            "module_calls": self.module_calls,
            "storages": [[storage.kind, storage.nbytes, storage.freed_before] for storage in self.storages],
            "calls": [traced.to_json() for traced in self.calls],
            "real": self.real,
            "note": self.note,
            "steps": list(self.steps),
            **({"code": self.code} if self.code else {}),
            **({"python_calls": list(self.python_calls)} if self.python_calls else {}),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> Trace:
        """Rebuild from ``to_json``. Raises TraceError for data that is not a complete trace."""
        schema = data.get("schema") if isinstance(data, dict) else None
        if schema != SCHEMA:
            what = f"schema {schema!r}" if isinstance(data, dict) else f"a {type(data).__name__}"
            raise TraceError(
                f"not a trace of this opclock: {what}, expected schema {SCHEMA!r}; write one with 'opclock trace MODEL "
                "--json FILE'"
            )
        try:
            trace = Trace(
                data["model"],
                decode(data["inputs"]),
                data["parameters"],
                data["module_calls"],
                tuple(Storage(*storage) for storage in data["storages"]),
                tuple(TracedCall.from_json(call) for call in data["calls"]),
                data.get("real", False),
                data.get("note", ""),
                tuple(data.get("steps", ())),
                data.get("code", ""),
                tuple(data.get("python_calls", ())),
            )
            _check_storages(trace)
            _check_python_calls(trace)
            return trace
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TraceError(f"a damaged trace ({type(error).__name__}: {error}); trace the model again") from error

    @checked
    def save(self, path: str | Path) -> None:
        """Write a trace file, whole or not at all. Raises OptionError where it cannot be written, or is a profile."""
        check_writable(Path(path))
        write_json(Path(path), self.to_json())

    @staticmethod
    @checked
    def load(path: str | Path) -> Trace:
        """Read a trace file. Raises TraceError, which names the file, where it cannot be read or is not a trace."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise TraceError(
                f"cannot read the trace {path}: {error.strerror}; write one with 'opclock trace --json'"
            ) from error
        except (ValueError, RecursionError) as error:
            raise TraceError(f"{path} is not JSON ({error}); write one with 'opclock trace --json'") from error
        try:
            return Trace.from_json(data)
        except TraceError as error:
            raise TraceError(f"{path} is {error}") from error


def _check_python_calls(trace: Trace) -> None:
    """Raise ValueError where the counts are not one for each op call and one more."""
    counts = trace.python_calls
    if counts and len(counts) != len(trace.calls) + 1:
        raise ValueError(f"{len(counts)} counts of Python calls for {len(trace.calls)} op calls, one more is needed")
    if wrong := [one for one in counts if type(one) is not int or one < 0]:
        raise ValueError(f"{wrong[0]!r} is no number of Python calls")


def _check_storages(trace: Trace) -> None:
    """Raise ValueError where the model's name, a storage, or the number of one is not what ``to_json`` writes."""
    if not isinstance(trace.model, str) or not isinstance(trace.code, str):
        raise ValueError(f"model {trace.model!r} with code {trace.code!r}")
    if wrong := [one for one in trace.inputs if not isinstance(one, TensorSpec)]:
        raise ValueError(f"input {wrong[0]!r}")
    for traced in trace.calls:
        names = (traced.call.operator, traced.call.overload, traced.module, traced.module_type)
        if wrong_names := [one for one in names if not isinstance(one, str)]:
            raise ValueError(f"{wrong_names[0]!r} is no name of an operator or a module")
    for number in (trace.parameters, trace.module_calls):
        if type(number) is not int or number < 0:
            raise ValueError(f"{number!r} is no number of parameters or of calls of modules")
    for storage in trace.storages:
        numbers = storage.nbytes, storage.freed_before
        if storage.kind not in get_args(StorageKind) or not all(type(one) is int and one >= 0 for one in numbers):
            raise ValueError(f"not a storage: {storage}")
    known = range(len(trace.storages))
    for traced in trace.calls:
        if unknown := [number for number in (*traced.reads, *traced.writes) if number not in known]:
            raise ValueError(f"{traced.call.operator} uses storage {unknown[0]!r} of {len(trace.storages)}")


def check_calls(trace: Trace) -> None:
    """Raise TraceError where a model makes no op call."""
    if not trace.calls:
        raise TraceError(f"{trace.model} makes no op call: there is nothing to time; give a model that computes")
