"""Runs a traced model's operators: for real, or with fake tensors except where values are small and known."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.parameter import is_lazy
from torch.utils.weak import WeakTensorKeyDictionary

from opclock.errors import DataNeededError
from opclock.tracing.fake_kernels import FAKE_KERNELS, as_really
from opclock.tracing.meta import on_meta, without_generators
from opclock.tracing.packing import is_quantised_script
from opclock.tracing.specs import flat_tensors, leaves, mapped
from opclock.tracing.storages import own_tensors

KNOWN_BYTES = 64 << 20  # a float32 mask of 4096 x 4096; values of larger tensors would cost time and memory


class Execution(Protocol):
    """How the operators of a traced model run."""

    def shown(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor whose spec is recorded for an argument."""

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """Run an operator."""

    def knows(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor has the values that it has in a real run."""

    def stands_for(self, tensor: torch.Tensor) -> torch.Tensor:
        """The model's tensor whose memory an output of the latest ``run`` shares; the output itself if none."""

    def restore(self) -> None:
        """Give tensors that existed before the first ``run`` the values that they had then."""


def written_tensors(schema: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:  # noqa: ANN401
    """The arguments that an operator writes in place."""
    written: list[torch.Tensor] = []
    for position, argument in enumerate(schema.arguments if schema.is_mutable else ()):
        if argument.alias_info is not None and argument.alias_info.is_write:
            written += flat_tensors(args[position] if position < len(args) else kwargs.get(argument.name))
    return written


class _StorageSet:
    """A set of storages. Weak references keep an address from being used twice."""

    def __init__(self) -> None:
        self._references: dict[int, StorageWeakRef] = {}

    def add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        self._references.setdefault(storage._cdata, StorageWeakRef(storage))

    def __contains__(self, tensor: torch.Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._references


class RealExecution:
    """Runs every operator."""

    def __init__(self) -> None:
        self._created = _StorageSet()
        self._before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def shown(self, tensor: torch.Tensor) -> torch.Tensor:
        """See ``Execution``."""
        return tensor

    def knows(self, tensor: torch.Tensor) -> bool:
        """See ``Execution``."""
        return not tensor.is_meta

    def stands_for(self, tensor: torch.Tensor) -> torch.Tensor:
        """See ``Execution``."""
        return tensor

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """See ``Execution``. Keeps a copy of what it overwrites, unless an earlier ``run`` created it."""
        for tensor in written_tensors(func._schema, args, kwargs):
            storage = tensor.untyped_storage()
            if tensor not in self._created and storage._cdata not in self._before:
                self._before[storage._cdata] = (storage, storage.clone())
        given = {tensor.untyped_storage()._cdata for tensor in flat_tensors((args, tuple(kwargs.values())))}
        output = func(*args, **kwargs)
        for tensor in flat_tensors(output):
            if tensor.untyped_storage()._cdata not in given:
                self._created.add(tensor)
        return output

    def restore(self) -> None:
        """See ``Execution``."""
        for storage, before in self._before.values():
            if storage.nbytes() == before.nbytes():
                storage.copy_(before)
        self._before.clear()


class FakeExecution:
    """Runs operators on fake tensors, which have no values, except where all arguments are small and known.

    Masks, positions and lengths thus have their values, and the model's control flow takes the way of a real run.
    Parameters and floating-point inputs are not known, and neither is what is computed from them.
    """

    def __init__(self, model: torch.nn.Module, inputs: Any) -> None:  # noqa: ANN401
        if is_quantised_script(model):  # frozen, it ends the process where an operator inside it raises
            raise DataNeededError("TorchScript of a quantised model needs a real run (real=True)")
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._real = RealExecution()
        self._fakes = WeakTensorKeyDictionary()
        self._stands_for: dict[int, torch.Tensor] = {}
        self._unknown = _StorageSet()
        given = flat_tensors(inputs)
        self._device = next((tensor.device for tensor in given if not tensor.is_meta), torch.device("cpu"))
        with torch.inference_mode(mode=False):
            self._memory = [(one, one.detach()) for one in own_tensors(model) if not is_lazy(one)]
        for tensor in (*model.parameters(), *(one for one in given if one.is_floating_point() or one.is_complex())):
            self._unknown.add(tensor)

    def shown(self, tensor: torch.Tensor) -> torch.Tensor:
        """See ``Execution``. A tensor on the meta device is shown where the inputs are."""
        return self._fake(tensor) if tensor.is_meta and not isinstance(tensor, FakeTensor) else tensor

    def stands_for(self, tensor: torch.Tensor) -> torch.Tensor:
        """See ``Execution``."""
        return self._stands_for.get(tensor.untyped_storage()._cdata, tensor)

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """See ``Execution``. Raises DataNeededError for packed parameters, which have no fake counterpart."""
        given = flat_tensors((args, tuple(kwargs.values())))
        if any(isinstance(leaf, torch.ScriptObject) for leaf in leaves((args, kwargs))):
            raise DataNeededError(f"{func._schema.name} takes packed parameters, which need a real run (real=True)")
        if all(self.knows(tensor) for tensor in given) and self._has_small_outputs(func, args, kwargs):
            return self._real.run(func, args, kwargs)
        for tensor in written_tensors(func._schema, args, kwargs):
            self._unknown.add(tensor)
        args, kwargs = without_generators(mapped(torch.Tensor, self._fake, (args, kwargs)))
        self._stands_for = {
            self._fake(tensor).untyped_storage()._cdata: tensor
            for tensor in given
            if not isinstance(tensor, FakeTensor)
        }
        kernel = FAKE_KERNELS.get(func._schema.name, func)
        with self._mode:
            return as_really(func, args, kwargs, kernel(*args, **kwargs))

    def restore(self) -> None:
        """See ``Execution``. A forward that assigns to a parameter's ``data`` has put a fake tensor there."""
        self._real.restore()
        for tensor, before in self._memory:
            if tensor.untyped_storage()._cdata != before.untyped_storage()._cdata:
                tensor.data = before

    def knows(self, tensor: torch.Tensor) -> bool:
        """See ``Execution``."""
        return (
            not isinstance(tensor, FakeTensor)
            and not tensor.is_meta
            and tensor.nbytes <= KNOWN_BYTES
            and tensor not in self._unknown
        )

    def _has_small_outputs(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:  # noqa: ANN401
        """Whether an operator on known arguments makes no large tensor."""
        try:
            outputs = on_meta(func, args, kwargs)
        except Exception:  # its shapes depend on data, and are no larger than the arguments'; or it has no meta kernel
            return True
        return sum(tensor.nbytes for tensor in flat_tensors(outputs)) <= KNOWN_BYTES

    def _fake(self, tensor: torch.Tensor) -> torch.Tensor:
        """The fake tensor for a tensor, always the same one.

        The model keeps its parameters: some modules hold them in lists as well, which a swap would not restore.
        """
        if isinstance(tensor, FakeTensor):
            return tensor
        fake = self._fakes.get(tensor)
        if fake is None:
            with torch.inference_mode(mode=False):
                fake = self._on_device(tensor) if tensor.is_meta else self._mode.from_tensor(tensor)
            self._fakes[tensor] = fake
        return fake  # type: ignore[no-any-return]

    def _on_device(self, tensor: torch.Tensor) -> torch.Tensor:
        with self._mode:
            placed = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=self._device)
        return placed.requires_grad_(tensor.requires_grad)
