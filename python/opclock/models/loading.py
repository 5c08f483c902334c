"""Loads the model that a user names, with inputs that fit it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from opclock.argument_checks import ModelName, checked
from opclock.errors import ModelError, OptionError, first_line
from opclock.models.factories import NO_FUNCTIONS, Found, Functions, from_factory, made_by
from opclock.models.libraries import LIBRARIES, from_library
from opclock.models.process_state import process_kept
from opclock.models.random_inputs import FLOATS, random_inputs
from opclock.models.saved import EXPORTED, SAVED, from_file
from opclock.tracing.forward import Reset
from opclock.tracing.model_inputs import Inputs, misfit_of
from opclock.tracing.specs import each_once
from opclock.tracing.torch_state import TorchState

SEED = 0  # of random weights and inputs, so that a model is the same in each process
OWN = "auto"  # the dtype that keeps the model's
WAYS = "zoo:NAME, torchvision:NAME, timm:NAME, hf:NAME, FILE.py:FACTORY, package.module:FACTORY, FILE.pt2 or FILE.pt"


@dataclass(frozen=True)
class Specification:
    """What ``load_model`` was given, so that another process can load the same model."""

    text: str
    input_text: str | None = None
    dtype: str = OWN
    device: str = "cpu"
    weights: str | None = None
    images: str | None = None  # folder of CIFAR-100, whose images are the input


@dataclass(frozen=True)
class Model:
    """A module in evaluation mode, with example inputs and its name in reports."""

    name: str
    module: torch.nn.Module
    inputs: Inputs
    reset: Reset | None = None  # puts its state back before each inference
    settings: TorchState | None = None  # PyTorch's, as they were once it was loaded; None: those of its user
    specification: Specification | None = None  # None where it was not loaded by a name
    functions: Functions = NO_FUNCTIONS  # that its factory has named


@checked
def load_model(text: ModelName, *, input_text: str | None = None, dtype: str = OWN, device: str = "cpu",
               weights: str | Path | None = None) -> Model:  # fmt: skip
    """Build or load the model that a user names.

    Args:
        text: ``zoo:NAME``, ``torchvision:NAME``, ``timm:NAME``, ``hf:NAME_OR_FOLDER``, ``ultralytics:NAME.yaml``,
            ``FILE.py:FACTORY``, ``package.module:FACTORY``, ``FILE.pt2`` (torch.export) or ``FILE.pt`` (TorchScript).
            A factory takes no arguments and returns a module, or a module and example inputs: a tensor, a tuple, a
            mapping, or a tuple and a mapping of keyword arguments. A last item ``{"reset": FUNCTION}`` names what is
            called before each inference, such as to empty a cache; it may name ``prefill`` and ``decode``, too, see
            ``load_language_model``.
        input_text: random inputs in place of the model's own, such as "1x3x224x224" or "input_ids=1x128:int64".
        dtype: type of parameters and floating-point inputs; "auto" keeps the model's own.
        device: where parameters and inputs are placed.
        weights: a state dict to load, saved by ``torch.save(model.state_dict())``.

    Returns:
        The module in evaluation mode on the device, its inputs and its name. PyTorch's settings stay as the model's
        code has left them, as its forward may need them.

    Raises:
        ModelError: there is no such model, its factory raises or returns something else, or the weights do not fit.
        OptionError: an invalid input or dtype.
    """
    specification = Specification(text, input_text, dtype, device, None if weights is None else str(weights))
    return _loaded(specification)


def load_language_model(
    text: str, *, dtype: str = OWN, device: str = "cpu", weights: str | Path | None = None
) -> Model:
    """Build or load a model that generates text. It needs no example inputs.

    Args:
        text: see ``load_model``. A factory of a model that is not of transformers names two functions in its last item,
            ``{"prefill": FUNCTION, "decode": FUNCTION}``, see ``factories.Functions``.
        dtype: type of parameters; "auto" keeps the model's own.
        device: where parameters are placed.
        weights: a state dict to load.

    Returns:
        The model, see ``load_model``.

    Raises:
        ModelError, OptionError: see ``load_model``.
    """
    return _loaded(
        Specification(text, None, dtype, device, None if weights is None else str(weights)), with_inputs=False
    )


def load_made(name: str, factory: Callable[[], Any], *, input_text: str | None = None) -> Model:
    """Build a model by a factory, with random weights that are the same each time. See ``load_model``."""
    return _loaded(Specification(name, input_text), found=lambda: made_by("the factory", factory))


def _loaded(asked: Specification, *, with_inputs: bool = True, found: Callable[[], Found] | None = None) -> Model:
    """Load what a specification names, or ``found`` finds. Raises ModelError where it has no inputs and needs some."""
    text, dtype, device = asked.text, asked.dtype, asked.device
    if dtype not in (OWN, *FLOATS):
        raise OptionError(f"dtype={dtype!r}: choose one of {', '.join((OWN, *FLOATS))}")
    with _seeded(), process_kept(), _torch_kept_after_errors():
        module, inputs, functions = _found(text) if found is None else found()
        if asked.weights is not None:
            _load_weights(module, asked.weights)
        if asked.input_text is not None:
            inputs = random_inputs(asked.input_text, module)
            if misfit := misfit_of(module, inputs):
                raise OptionError(
                    f"input_text={asked.input_text!r}: {misfit}; write each as SHAPE in this order, or NAME=SHAPE"
                )
    if inputs is None and with_inputs:
        raise ModelError(
            f"{text} has no example inputs: give input_text=SHAPE, such as 1x3x224x224 or input_ids=1x128:int64"
        )
    try:
        module, inputs = _converted(text, module, inputs or (), FLOATS.get(dtype), device)
    except OptionError:
        raise
    except Exception as error:  # the model's own code may take part
        wanted = device if dtype == "auto" else f"{device} as {dtype}"
        raise ModelError(f"{text} cannot be put on {wanted}: {first_line(error)}") from error
    return Model(_display_name(text), module, inputs, functions.reset, TorchState(), asked, functions)


@contextmanager
def _seeded() -> Iterator[None]:
    """Draw the same numbers inside the block each time: a quantised model's op calls depend on its random weights."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(SEED)
    try:
        yield
    finally:
        torch.set_rng_state(before)


@contextmanager
def _torch_kept_after_errors() -> Iterator[None]:
    """Put PyTorch's settings back where loading fails. A model that loads may need what its file has set."""
    state = TorchState()
    try:
        yield
    except BaseException:
        state.restore()
        raise


def _found(text: str) -> Found:
    """The module that this names, its inputs and its functions, where they are known. Raises ModelError."""
    kind, name = _split(text)
    if kind not in LIBRARIES and Path(text).suffix in SAVED:
        return *from_file(Path(text)), NO_FUNCTIONS
    if Path(text).suffix == ".json":
        raise ModelError(
            f"{text} is a JSON file, and a model is expected: {WAYS}, or hf:FOLDER for the folder of a config.json; "
            "only 'opclock measure' and 'opclock estimate' take a trace, which 'opclock trace MODEL --json FILE' writes"
        )
    if not kind or not name:
        raise ModelError(f"no model {text!r}: write {WAYS}")
    if kind in LIBRARIES:
        return *from_library(kind, name), NO_FUNCTIONS
    return from_factory(text, kind, name)


def _split(text: str) -> tuple[str, str]:
    """What stands before the colon, and the name after it. Names of libraries and Windows paths may hold one more."""
    kind, _, name = text.partition(":")
    if kind in LIBRARIES:
        return kind, name
    kind, _, name = text.rpartition(":")
    return kind, name


def _display_name(text: str) -> str:
    kind, name = _split(text)
    if kind == "hf":
        return Path(name).name
    if kind not in LIBRARIES and Path(text).suffix in SAVED:
        return Path(text).name
    return name if kind in LIBRARIES or kind.endswith(".py") else text


def _converted(text: str, module: torch.nn.Module, inputs: Inputs, dtype: torch.dtype | None,
               device: str) -> tuple[torch.nn.Module, Inputs]:  # fmt: skip
    from torch.utils._pytree import tree_map_only

    if dtype is not None and Path(text).suffix in EXPORTED:
        others = {tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()} - {dtype}
        if others:
            raise OptionError(
                f"dtype={str(dtype)[6:]!r}: {text} was exported in {str(others.pop())[6:]}; export it in this dtype "
                "or leave it out"
            )

    def convert(tensor: torch.Tensor) -> torch.Tensor:
        wanted = dtype if tensor.is_floating_point() else None
        if tensor.is_nested or tensor.layout != torch.strided or 0 not in tensor.stride():
            return tensor.to(device=device, dtype=wanted)
        return each_once(tensor).to(device=device, dtype=wanted).expand(tensor.shape)  # all might not fit into memory

    bare = any(tensor.is_meta for tensor in module.parameters())  # without data: traced where it stands
    module = module.to(device=None if bare else device, dtype=dtype)
    return _in_evaluation(module), tree_map_only(torch.Tensor, convert, inputs)


def _in_evaluation(module: torch.nn.Module) -> torch.nn.Module:
    try:
        return module.eval()
    except NotImplementedError:  # an exported program, perhaps inside the module: it was exported in its mode
        for part in module.modules():
            part.training = False
        return module


def _load_weights(module: torch.nn.Module, path: str | Path) -> None:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"cannot read the weights {path}: {error.strerror or first_line(error)}") from error
    except Exception as error:  # of many kinds: what stands in the file decides
        raise ModelError(f"{path} is no file of weights: name one that torch.save wrote from a state dict") from error
    try:
        module.load_state_dict(state)
    except Exception as error:
        raise ModelError(f"the weights {path} do not fit: {first_line(error)}") from error
