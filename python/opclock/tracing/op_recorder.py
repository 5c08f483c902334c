"""Records the op calls of one run of a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from opclock.errors import TraceError
from opclock.tracing.control_flow import control_flow
from opclock.tracing.execution import Execution, written_tensors
from opclock.tracing.known_values import KnownValues
from opclock.tracing.model_inputs import Inputs
from opclock.tracing.op_call import OpCall
from opclock.tracing.packing import with_rounded_scale
from opclock.tracing.python_calls import PythonCalls
from opclock.tracing.specs import flat_tensors, known_values, mapped, value_of
from opclock.tracing.storages import Storages, own_tensors, wraps
from opclock.tracing.trace import TracedCall


@contextmanager
def _naming(operator: str) -> Iterator[None]:
    """Name the operator in front of a TraceError inside the block."""
    try:
        yield
    except TraceError as error:
        raise TraceError(f"{operator}: {error}") from error


def _op_call(schema: Any, args: tuple[Any, ...], kwargs: dict[str, Any], met: list[tuple[Any, ...]]) -> OpCall:  # noqa: ANN401
    names = [argument.name for argument in schema.arguments]
    given = zip(names, value_of(args, met), strict=False)  # the last arguments may be left out
    values = tuple(with_rounded_scale(schema.name, name, value) for name, value in given)
    named = tuple((name, with_rounded_scale(schema.name, name, value_of(value, met))) for name, value in kwargs.items())
    return OpCall(schema.name, schema.overload_name, values, named)


UNRECORDED = ("prim", "profiler")  # they run no kernel: only fake tensors get the first; the second mark a profile


class OpRecorder(TorchDispatchMode):
    """Records every op call before PyTorch decomposes it."""

    supports_higher_order_operators = True

    def __init__(self, model: torch.nn.Module, inputs: Inputs, execution: Execution) -> None:
        super().__init__()
        self._execution = execution
        self.storages = Storages()
        self.calls: list[TracedCall] = []
        self.module_calls = 0
        self.counter = PythonCalls()
        self.python_calls: list[int] = []  # before each op call
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._entered: list[tuple[str, str]] = [("", type(model).__name__)]
        for tensor in own_tensors(model):
            self.storages.number(tensor, "weight", stays=isinstance(tensor, torch.nn.Parameter))
        for tensor in flat_tensors(inputs):
            self.storages.number(tensor, "input")

    @contextmanager
    def watching_modules(self) -> Iterator[None]:
        """Note inside the block which module runs."""

        def enter(module: torch.nn.Module, _args: object) -> None:
            self.module_calls += 1
            self._entered.append((self._paths.get(id(module), self._entered[-1][0]), type(module).__name__))

        def leave(_module: torch.nn.Module, _args: object, _output: object) -> None:
            self._entered.pop()

        hooks = (register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            with self:
                return control_flow(func, args, kwargs)
        self.counter.pause()
        try:
            return self._recorded(func, args, kwargs)
        finally:
            self.counter.go_on()

    def _recorded(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """Record an op call. Returns its answer."""
        given = flat_tensors((args, tuple(kwargs.values())))
        if any(wraps(tensor) for tensor in given):
            return NotImplemented  # the subclass calls operators on the tensors that it wraps
        if func.namespace in UNRECORDED:
            return func(*args, **kwargs)
        self.storages.note_freed(len(self.calls))
        met: list[tuple[Any, ...]] = []
        seen_args, seen_kwargs = mapped(torch.Tensor, self._execution.shown, (args, kwargs))
        with _naming(func._schema.name):
            call = _op_call(func._schema, seen_args, seen_kwargs, met)
        reads = tuple(self.storages.number(tensor, "weight") for tensor in given)
        values = tuple(
            (number, known)
            for number, tensor in enumerate(given)
            if self._execution.knows(tensor) and (known := known_values(tensor)) is not None
        )
        output = self._execution.run(func, args, kwargs)
        written = written_tensors(func._schema, args, kwargs)
        self._note(call, reads, written, output, len(func._schema.returns), values)
        return output

    def _note(
        self, call: OpCall, reads: tuple[int, ...], written: list[torch.Tensor], output: object, returns: int,
        values: tuple[tuple[int, KnownValues], ...],
    ) -> None:  # fmt: skip
        outputs = output if isinstance(output, tuple) and returns != 1 else (output,)
        writes = [self.storages.number(tensor, "activation") for tensor in written]
        for tensor in flat_tensors(outputs):
            number = self.storages.number(self._execution.stands_for(tensor), "activation")
            self.storages.alias(tensor, number)
            if number not in reads and number not in writes:
                writes.append(number)
        path, module_type = self._entered[-1]
        recorded = tuple(value_of(item) for item in outputs) if returns else ()
        self.calls.append(TracedCall(call, recorded, reads, tuple(writes), path, module_type, values))
        self.python_calls.append(self.counter.taken())
