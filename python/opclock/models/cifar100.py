"""Reads the binary version of CIFAR-100 (Krizhevsky 2009): a record is two label bytes and a 3x32x32 image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from opclock.errors import ModelError, OptionError
from opclock.models.loading import Model, Specification, load_model
from opclock.tracing.specs import flat_tensors

LABEL_BYTES = 2  # coarse, then fine
SHAPE = (3, 32, 32)
RECORD_BYTES = LABEL_BYTES + 3 * 32 * 32
# Mean and standard deviation of the training images by channel, as fractions of 255. Models are trained with these.
MEAN = (0.5071, 0.4865, 0.4409)
DEVIATION = (0.2673, 0.2564, 0.2762)


def read_images(folder: Path, count: int) -> npt.NDArray[np.float32]:
    """Read the first test images.

    Args:
        folder: holds the binary version.
        count: the number of images.

    Returns:
        Normalised images of shape (count, 3, 32, 32).

    Raises:
        ModelError: the folder does not hold the binary version, or has fewer images.
    """
    path = folder / "test.bin"
    if not path.is_file():
        if (folder / "test").is_file():
            raise ModelError(f"{folder} holds the pickled version of CIFAR-100: unpickling runs code from the file; "
                             "use the binary version (test.bin)")  # fmt: skip
        raise ModelError(f"{folder} has no test.bin: give the folder of CIFAR-100's binary version")
    size = path.stat().st_size
    if size % RECORD_BYTES:
        raise ModelError(f"{path} has {size} bytes, no whole number of {RECORD_BYTES}-byte records: fetch it again")
    if size < count * RECORD_BYTES:
        raise ModelError(f"{path} holds {size // RECORD_BYTES} images, {count} are needed")
    records = np.fromfile(path, dtype=np.uint8, count=count * RECORD_BYTES).reshape(count, RECORD_BYTES)
    images = records[:, LABEL_BYTES:].reshape(count, *SHAPE).astype(np.float32) / np.float32(255)
    mean, deviation = (np.array(values, dtype=np.float32).reshape(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    return np.asarray((images - mean) / deviation, dtype=np.float32)


def with_images(model: Model, folder: Path | None) -> Model:
    """Give a model real CIFAR-100 images as its input.

    Args:
        model: its first input has shape (batch, 3, 32, 32).
        folder: holds the binary version; None leaves the model as it is.

    Returns:
        The model with the images as its input.

    Raises:
        ModelError: the folder does not hold the binary version, or has fewer images than the batch.
        OptionError: the model takes an input of another shape.
    """
    if folder is None:
        return model
    first = flat_tensors(model.inputs)[0]
    images = torch.from_numpy(read_images(folder, first.shape[0])).to(first.device, first.dtype)
    if images.shape != first.shape:
        raise OptionError(f"--data holds 3x32x32 images, {model.name} takes {'x'.join(map(str, first.shape))}")
    known = model.specification
    specification = None if known is None else replace(known, images=str(folder))
    return replace(model, inputs=(images,), specification=specification)


def load_again(specification: Specification) -> Model:
    """Load a model as another process did. Raises as ``load_model`` and ``with_images`` do."""
    model = load_model(
        specification.text,
        input_text=specification.input_text,
        dtype=specification.dtype,
        device=specification.device,
        weights=specification.weights,
    )
    return with_images(model, None if specification.images is None else Path(specification.images))
