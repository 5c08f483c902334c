"""Records a model's op calls, with fake tensors or by a real run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedFakeTensorException,
    unset_fake_temporarily,
)
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from opclock.errors import DataNeededError, TraceError, first_line
from opclock.tracing.op_call import OpCall
from opclock.tracing.specs import Inputs, flat_tensors, spec_of, value_of
from opclock.tracing.storages import Storages
from opclock.tracing.trace import Trace, TracedCall

# The errors that fake tensors raise where values are needed.
NEEDS_DATA = (DataDependentOutputException, DynamicOutputShapeException, UnsupportedFakeTensorException)


def _meta(value: Any) -> Any:  # noqa: ANN401
    """The arguments as tensors without data, outside any mode."""

    def bare(tensor: torch.Tensor) -> torch.Tensor:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")

    return tree_map_only(torch.Tensor, bare, value)


def _as_really(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:  # noqa: ANN401
    """Correct an output where fake tensors are known to differ from PyTorch's kernels.

    Dropout outside training returns its input, but fake tensors copy it. Views and resized images with a dimension of
    size one have other strides, and a later convolution chooses its memory format by them.
    """
    given = args[0] if args else None
    if not isinstance(given, FakeTensor) or not func._schema.returns:
        return output
    if func._schema.name in ("aten::dropout", "aten::feature_dropout", "aten::alpha_dropout") and not args[2]:
        return given
    view = func._schema.returns[0].alias_info is not None and not func._schema.is_mutable
    known = (view and func._schema.name != "aten::to") or func._schema.name.startswith("aten::upsample")
    if not known or not isinstance(output, torch.Tensor) or 1 not in output.shape:
        return output
    with unset_fake_temporarily():
        stride = func(*_meta(args), **_meta(kwargs)).stride()
    return output if output.stride() == stride else output.as_strided(output.shape, stride, output.storage_offset())


class _Recorder(TorchDispatchMode):
    """Records every op call before PyTorch decomposes it."""

    def __init__(self, model: torch.nn.Module, fake: FakeTensorMode | None) -> None:
        super().__init__()
        self._fake = fake
        self._fakes: list[torch.Tensor] = []  # kept alive: the mode forgets a fake tensor without references
        self.storages = Storages()
        self.calls: list[TracedCall] = []
        self.module_calls = 0
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._entered: list[tuple[str, str]] = [("", type(model).__name__)]

    def bare(self, tensor: torch.Tensor) -> torch.Tensor:
        """The fake tensor for a tensor, always the same one; the tensor itself in a real run.

        The model keeps its parameters: some modules hold them in lists as well, which a swap would not restore.
        """
        if self._fake is None or isinstance(tensor, FakeTensor):
            return tensor
        with torch.inference_mode(mode=False):
            self._fakes.append(self._fake.from_tensor(tensor))
        return self._fakes[-1]

    @contextmanager
    def watching_modules(self) -> Iterator[None]:
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
        args, kwargs = tree_map_only(torch.Tensor, self.bare, (args, kwargs or {}))
        schema = func._schema
        if schema.name.startswith("prim::"):  # only fake tensors get these: they run no kernel, and a real run has none
            return func(*args, **kwargs)
        self.storages.note_freed(len(self.calls))
        met: list[tuple[Any, ...]] = []
        call = OpCall(
            schema.name,
            schema.overload_name,
            value_of(args, met),
            tuple((name, value_of(argument, met)) for name, argument in kwargs.items()),
        )
        given = flat_tensors((args, tuple(kwargs.values())))
        reads = tuple(self.storages.number(tensor, "weight") for tensor in given)
        output = _as_really(func, args, kwargs, func(*args, **kwargs))

        outputs = output if isinstance(output, tuple) and len(schema.returns) != 1 else (output,)
        writes = self._changed(schema, args, kwargs)
        for tensor in flat_tensors(outputs):
            number = self.storages.number(tensor, "activation")
            if number not in reads and number not in writes:
                writes.append(number)
        path, module_type = self._entered[-1]
        recorded = tuple(value_of(item) for item in outputs) if schema.returns else ()
        self.calls.append(TracedCall(call, recorded, reads, tuple(writes), path, module_type))
        return output

    def _changed(self, schema: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:  # noqa: ANN401
        """The storages of arguments that the operator writes in place."""
        if not schema.is_mutable:
            return []
        changed: list[int] = []
        for position, argument in enumerate(schema.arguments):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            given = args[position] if position < len(args) else kwargs.get(argument.name)
            changed += [self.storages.number(tensor, "activation") for tensor in flat_tensors(given)]
        return changed


@contextmanager
def _quiet_torch() -> Iterator[None]:
    """Without torch's log inside the block: it prints a traceback for each error that ``trace`` reports in one line."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


def _run(model: torch.nn.Module, inputs: Inputs) -> None:
    if isinstance(inputs, dict):
        model(**inputs)
    else:
        model(*inputs)


def trace(model: torch.nn.Module, inputs: Inputs, *, name: str = "", real: bool = False) -> Trace:
    """Record the op calls of one inference.

    Args:
        model: in the mode it will be used in (call ``model.eval()`` first for inference).
        inputs: example inputs: a tuple of positional arguments, or a dict of keyword arguments.
        name: the model's name in reports; its class name if empty.
        real: run the model on real data instead of fake tensors. Models whose shapes depend on data need this.

    Returns:
        The trace: the op calls in order, each with its specs, the module it came from, and the storages it touched.

    Raises:
        DataNeededError: the model's shapes depend on data, and ``real`` is false.
        TraceError: the model is no module, or its forward raises.
    """
    if not isinstance(model, torch.nn.Module):
        raise TraceError(f"trace needs a torch.nn.Module, not {type(model).__name__}; wrap a function in a module")
    fake = None if real else FakeTensorMode(allow_non_fake_inputs=True)
    recorder = _Recorder(model, fake)
    for tensor in (*model.parameters(), *model.buffers()):
        recorder.storages.number(recorder.bare(tensor), "weight")
    given = tree_map_only(torch.Tensor, recorder.bare, inputs)
    for tensor in flat_tensors(given):
        recorder.storages.number(tensor, "input")
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(_quiet_torch())
        if fake is not None:
            stack.enter_context(fake)
        stack.enter_context(recorder.watching_modules())
        try:
            with recorder:
                _run(model, given)
        except NEEDS_DATA as error:
            raise DataNeededError(
                f"{name or type(model).__name__} cannot be traced without data ({type(error).__name__}: "
                f"{first_line(error)}): trace it by a real run (real=True, --real)"
            ) from error
        except TraceError:
            raise
        except Exception as error:
            raise TraceError(
                f"the forward of {name or type(model).__name__} raised {type(error).__name__}: {first_line(error)}; "
                "check that the input fits the model"
            ) from error
    return Trace(
        model=name or type(model).__name__,
        inputs=tuple(spec_of(tensor) for tensor in flat_tensors(inputs)),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        module_calls=recorder.module_calls,
        storages=recorder.storages.closed(len(recorder.calls)),
        calls=tuple(recorder.calls),
    )
