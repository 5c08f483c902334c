"""Traces a model in its steady state, with fake tensors or by a real run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise

import torch
from torch.nn.parameter import is_lazy

from opclock.argument_checks import checked
from opclock.board.memory import free_memory_bytes
from opclock.errors import DataNeededError, ModelError, NestedTensorError, TraceError, UnsteadyError, described
from opclock.tracing.code_hash import code_hash
from opclock.tracing.disguise import untraced
from opclock.tracing.execution import Execution, FakeExecution, RealExecution
from opclock.tracing.forward import Forward, Reset, prepared
from opclock.tracing.forward_errors import advice, needs_data
from opclock.tracing.macs import model_macs
from opclock.tracing.model_inputs import Inputs, arguments_of, mapping_note
from opclock.tracing.model_state import ModelState
from opclock.tracing.op_recorder import OpRecorder
from opclock.tracing.other_threads import no_other_threads
from opclock.tracing.program import first_difference
from opclock.tracing.specs import check_layout, flat_tensors, spec_of
from opclock.tracing.steps import NOTES, step_for, without_compiling
from opclock.tracing.trace import Step, Trace, TracedCall

RUNS = 6  # of a model whose state changes: enough to meet what happens every third time
CHECK_MEMORY_SHARE = 0.5  # fraction of the free memory that the activations of a run to check may take
CHECK_MACS = 20e9  # a larger model is not run to check its trace: seconds on a small board


@contextmanager
def quiet_torch() -> Iterator[None]:
    """Without torch's words inside the block: a traceback for each error of fake tensors, and their use of .grad."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before = log.disabled
    log.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf", UserWarning)
            yield
    finally:
        log.disabled = before


def _said(error: BaseException) -> str:
    return described(error)


class _Tracer:
    """Runs one model again and again, and records each run."""

    def __init__(
        self, model: torch.nn.Module, inputs: Inputs, name: str, reset: Reset | None, steps: Sequence[Step]
    ) -> None:
        self.name = name or type(model).__name__
        self._model = model
        self._inputs = inputs
        self._forward = Forward(model, inputs, reset, steps)

    def next_step(self, error: TraceError) -> Step | None:
        """A step that was not taken yet and may help after this error; None where there is none."""
        step = step_for(error, self._model)
        return None if step in self._forward.steps else step

    def materialise(self) -> None:
        """Run the model once, so that its lazy modules make their parameters."""
        with torch.no_grad():
            try:
                self._forward()
            except Exception as error:
                raise self._explained(error) from error

    def once(self, *, real: bool) -> Trace:
        """The first run, which may do work that later ones do not."""
        with self._unchanged(real) as (execution, _state):
            return self._record(execution)

    def steady(self, *, real: bool) -> tuple[Trace, Trace]:
        """The first run, and one that does what the run before did. Raises UnsteadyError where there is none."""
        with self._unchanged(real) as (execution, state):
            runs: list[Trace] = []
            marks: list[int] = []
            while len(runs) < RUNS:
                runs.append(self._record(execution))
                marks.append(state.fingerprint())
                if len(runs) > 1 and marks[-1] == marks[-2] and not first_difference(runs[-2], runs[-1]):
                    return runs[0], runs[-1]
            changed = state.changed()
        for before, after in pairwise(runs[1:]):
            if difference := first_difference(before, after):
                raise UnsteadyError(
                    f"{self.name} does not do the same twice: {difference}. {changed or 'It keeps a state'}: "
                    "make it do the same each time, or let its factory return model, inputs and {'reset': FUNCTION}, "
                    "which is called before each run"
                )
        return runs[0], runs[-1]

    @contextmanager
    def _unchanged(self, real: bool) -> Iterator[tuple[Execution, ModelState]]:
        """Give model, inputs and random generators back as they were."""
        state = ModelState(self._model, self._inputs)
        execution = RealExecution() if real else FakeExecution(self._model, self._inputs)
        try:
            yield execution, state
        finally:
            execution.restore()
            state.restore()

    def _record(self, execution: Execution) -> Trace:
        recorder = OpRecorder(self._model, self._inputs, execution)
        threads = torch.get_num_threads()
        with ExitStack() as stack:
            stack.enter_context(prepared(self._forward))
            uncompiled = stack.enter_context(without_compiling(self._model))
            stack.enter_context(quiet_torch())
            stack.enter_context(untraced())
            stack.enter_context(recorder.watching_modules())
            stack.enter_context(no_other_threads(self.name))
            try:
                with recorder, recorder.counter.counting():
                    self._forward()
                    counts = (*recorder.python_calls, recorder.counter.taken()) if recorder.counter.known else ()
            except (TraceError, ModelError):
                raise
            except Exception as error:
                raise self._explained(error) from error
        if torch.get_num_threads() != threads:
            raise TraceError(
                f"the forward of {self.name} sets PyTorch's threads to {torch.get_num_threads()}: take that out, and "
                "give their number to opclock"
            )
        return Trace(
            model=self.name,
            inputs=tuple(spec_of(tensor) for tensor in flat_tensors(self._inputs)),
            parameters=_count_parameters(self._model, recorder.calls),
            module_calls=recorder.module_calls,
            storages=recorder.storages.closed(len(recorder.calls)),
            calls=tuple(recorder.calls),
            real=isinstance(execution, RealExecution),
            steps=(*self._forward.steps, *uncompiled),
            python_calls=counts,
        )

    def _explained(self, error: Exception) -> TraceError:
        said = _said(error)
        if "NestedTensor" in said:
            return NestedTensorError(f"the forward of {self.name} raised {said}; pad to one length instead")
        if needs_data(error):
            return DataNeededError(f"{self.name} cannot be traced without data ({said}): "
                                   "trace it by a real run (real=True)")  # fmt: skip
        note = mapping_note(self._model, self._inputs)
        return TraceError(f"the forward of {self.name} raised {said}; {'; '.join(filter(None, (advice(error), note)))}")


def _count_parameters(model: torch.nn.Module, calls: Iterable[TracedCall]) -> int:
    """The number of a model's parameters. Those that quantised modules hold packed are known from their op calls."""
    packed = {(traced.module, one) for traced in calls for one in traced.call.packed}
    return sum(parameter.numel() for parameter in model.parameters()) + sum(one.numel for _, one in packed)


def _unfit(model: torch.nn.Module, trace: Trace) -> str:
    """Why no real run checks a trace: it cannot, or would cost much memory or time. Empty where it does."""
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        return "the model has no data"
    if (macs := model_macs(trace)) > CHECK_MACS:
        return f"it would take {macs / 1e9:.0f} GMACs (real=True)"
    enough = trace.run_bytes < free_memory_bytes() * CHECK_MEMORY_SHARE
    return "" if enough else "memory is short"


def _checked(tracer: _Tracer, first: Trace, fake: Trace) -> Trace:
    """A trace with fake tensors where a real run does the same; else the real run's."""
    try:
        difference = first_difference(first, tracer.once(real=True))
    except TraceError as error:
        if tracer.next_step(error):
            raise
        return replace(fake, note=f"not checked by a real run: {error}")
    if not difference:
        return fake
    note = f"traced by a real run, as fake tensors take another way: {difference}"
    return replace(tracer.steady(real=True)[1], note=note)


@checked
def trace(
    model: torch.nn.Module, inputs: object, *, name: str = "", real: bool | None = None, reset: Reset | None = None
) -> Trace:
    """Record the op calls of one inference, in the state that the model keeps after its first runs.

    The model, its inputs and random generators are afterwards as they were.

    Args:
        model: in the mode it will be used in (call ``model.eval()`` first for inference).
        inputs: a tuple of positional arguments, a mapping, both kinds as ``CallInputs``, or one argument.
        name: the model's name in reports; its class name if empty.
        real: True runs the model on its data; False takes fake tensors, which cost no memory and no arithmetic. By
            default fake tensors, checked by one real run where that is cheap; and a real trace where they fail or take
            another way, with the reason in ``Trace.note``.
        reset: called before each run, such as to empty a cache that the model fills.

    Returns:
        The trace: the op calls in order, each with its specs, the module it came from, and the storages it touched.

    Raises:
        DataNeededError: the model needs data, and ``real`` is False.
        UnsteadyError: the model does not do the same twice.
        TraceError: the model is no module, or its forward raises.
    """
    inputs = arguments_of(model, inputs)
    steps: tuple[Step, ...] = ()
    if any(is_lazy(parameter) for parameter in model.parameters()):
        _Tracer(model, inputs, name, reset, steps).materialise()
    for tensor in (*model.parameters(), *model.buffers(), *flat_tensors(inputs)):
        check_layout(tensor)
    while True:
        tracer = _Tracer(model, inputs, name, reset, steps)
        try:
            traced = _traced(tracer, model, real=real)
        except TraceError as error:
            step = tracer.next_step(error)
            if step is None:
                raise
            steps = (*steps, step)
        else:
            notes = [NOTES[step] for step in traced.steps]
            return replace(traced, note="; ".join(filter(None, [*notes, traced.note])), code=code_hash(model))


def _traced(tracer: _Tracer, model: torch.nn.Module, *, real: bool | None) -> Trace:
    """The trace in the way that is asked for; else with fake tensors where these do as a real run does."""
    if real is not None:
        return tracer.steady(real=real)[1]
    try:
        first, fake = tracer.steady(real=False)
    except UnsteadyError:
        raise
    except TraceError as error:
        if tracer.next_step(error):
            raise
        return replace(
            tracer.steady(real=True)[1],
            note=f"traced by a real run, as fake tensors fail: {_said(error.__cause__) if error.__cause__ else error}",
        )
    if why := _unfit(model, fake):
        return replace(fake, note=f"not checked by a real run: {why}")
    return _checked(tracer, first, fake)
