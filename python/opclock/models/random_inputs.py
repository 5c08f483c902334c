"""Random inputs of the shapes and dtypes that a user names."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from opclock.errors import OptionError
from opclock.models.names import nearest
from opclock.tracing.model_inputs import CallInputs, Inputs, simplest

FLOATS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}
OTHERS = {"int64": torch.int64, "int32": torch.int32, "int16": torch.int16, "int8": torch.int8, "uint8": torch.uint8,
          "bool": torch.bool, "complex64": torch.complex64}  # fmt: skip
ITEM = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>[1-9][0-9]*(?:x[1-9][0-9]*)*)(?::(?P<dtype>\w+))?\s*")
INDICES = 2  # random integers are below the rows of the smallest embedding, or below this where there is none


@dataclass(frozen=True)
class InputSpec:
    """One input as the user describes it: no name means a positional argument, no dtype the model's own."""

    shape: tuple[int, ...]
    name: str | None = None
    dtype: torch.dtype | None = None


def parse_input(text: str) -> tuple[InputSpec, ...]:
    """Parse inputs such as "1x3x32x32", "1x16:int64" or "input_ids=1x128:int64", several joined by commas.

    Raises OptionError for any other text.
    """
    known = FLOATS | OTHERS
    specs = []
    for item in text.split(","):
        found = ITEM.fullmatch(item)
        if found is None:
            raise OptionError(
                f"input_text={text!r}: not a shape; write it as 1x3x32x32, with a dtype as 1x16:int64, with a name as "
                "input_ids=1x16:int64, several joined by commas"
            )
        dtype = found["dtype"]
        if dtype is not None and dtype not in known:
            raise OptionError(f"input_text={text!r}: no dtype {dtype!r}{nearest(dtype, known)}")
        shape = tuple(int(size) for size in found["shape"].split("x"))
        specs.append(InputSpec(shape, found["name"], known[dtype] if dtype else None))
    names = [spec.name for spec in specs if spec.name is not None]
    if len(set(names)) < len(names):
        raise OptionError(f"input_text={text!r}: a name stands there twice")
    return tuple(specs)


def random_inputs(text: str, module: torch.nn.Module) -> Inputs:
    """Make random inputs.

    Args:
        text: see ``parse_input``.
        module: the model that takes them.

    Returns:
        Normal numbers, in the model's dtype where none is named. Integers are legal in each of the model's embeddings.
        Booleans, and integers whose name contains "mask", are 1.

    Raises:
        OptionError: the text is no input, or its tensors do not fit into memory.
    """
    own, below = own_dtype(module), smallest_embedding(module)
    args, kwargs = [], {}
    for spec in parse_input(text):
        try:
            tensor = _tensor(spec, own, below)
        except (RuntimeError, MemoryError, TypeError, OverflowError) as error:
            raise OptionError(
                f"input_text={text!r}: no memory for a tensor of this size; give a smaller shape"
            ) from error
        if spec.name is None:
            args.append(tensor)
        else:
            kwargs[spec.name] = tensor
    return simplest(CallInputs(tuple(args), kwargs))


def own_dtype(module: torch.nn.Module) -> torch.dtype:
    """The dtype of the model's first floating-point parameter or buffer; float32 where it has none."""
    tensors = (*module.parameters(), *module.buffers())
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)


def smallest_embedding(module: torch.nn.Module) -> int:
    """The rows of the smallest embedding: integers below it are legal in all of them."""
    rows = [getattr(layer, "num_embeddings", None) for layer in module.modules()]
    return min((count for count in rows if isinstance(count, int)), default=INDICES)


def _tensor(spec: InputSpec, own: torch.dtype, below: int) -> torch.Tensor:
    dtype = spec.dtype or own
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(spec.shape, dtype=dtype)
    if dtype is torch.bool or "mask" in (spec.name or ""):
        return torch.ones(spec.shape, dtype=dtype)
    return torch.randint(0, min(below, torch.iinfo(dtype).max), spec.shape, dtype=dtype)
