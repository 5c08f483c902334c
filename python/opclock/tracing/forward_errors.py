"""What an error in a model's forward says about the way to trace it."""

from __future__ import annotations

import re

from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)

from opclock.errors import message_of

# The errors that fake tensors raise where values are needed, or a kernel that computes shapes.
NEEDS_DATA = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)

# What PyTorch says where compiled code reads the values of a fake tensor.
NO_VALUES = (".numpy() is not supported for tensor subclasses", "its data is not allocated yet")

# By the first pattern that an error's text matches: what the user can do.
ADVICE = (
    (r"does not require grad|inference tensor|requires_grad", "it takes gradients, and opclock runs inference "
     "under torch.no_grad(): put that part under torch.enable_grad()"),
    (r"Sparse\w*TensorImpl", "it makes a sparse tensor, and only strided ones can be recorded: compute with a dense "
     "one, or with index_add_ of its entries"),
    (r"shape|size|dimension|expected.*input|channels|missing \d+ required|unexpected keyword|positional argument",
     "check that the input fits the model"),
)  # fmt: skip


def needs_data(error: Exception) -> bool:
    """Whether an error comes from fake tensors that have no values."""
    return isinstance(error, NEEDS_DATA) or any(text in message_of(error) for text in NO_VALUES)


def advice(error: Exception) -> str:
    """The step that makes the model work."""
    text = f"{type(error).__name__}: {message_of(error)}"
    found = (step for pattern, step in ADVICE if re.search(pattern, text, re.IGNORECASE))
    return next(found, "call the model once without opclock to see where")
