"""PyTorch's global settings, which a model's code may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


def _device() -> torch.device | None:
    """The default device; None where none was set."""
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    device: torch.device | None = None if context is None else context.device
    return device


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_quantized_engine(name: str) -> None:
    torch.backends.quantized.engine = name


# By name: reads a setting, and sets it.
SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "threads": (torch.get_num_threads, torch.set_num_threads),
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (_device, torch.set_default_device),
    "gradients": (torch.is_grad_enabled, torch.set_grad_enabled),
    "deterministic algorithms": (
        _deterministic,
        lambda mode: torch.use_deterministic_algorithms(mode[0], warn_only=mode[1]),
    ),
    "precision of float32 products": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "autocast": (lambda: torch.is_autocast_enabled("cpu"), lambda on: torch.set_autocast_enabled("cpu", on)),
    "dtype of autocast": (lambda: torch.get_autocast_dtype("cpu"), lambda kind: torch.set_autocast_dtype("cpu", kind)),
    "autocast on CUDA": (lambda: torch.is_autocast_enabled("cuda"), lambda on: torch.set_autocast_enabled("cuda", on)),
    "anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "oneDNN": (torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled),
    "backend of quantised models": (lambda: torch.backends.quantized.engine, _set_quantized_engine),
    "fast path of attention": (torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled),
    "flash attention": (torch.backends.cuda.flash_sdp_enabled, torch.backends.cuda.enable_flash_sdp),
    "attention by products": (torch.backends.cuda.math_sdp_enabled, torch.backends.cuda.enable_math_sdp),
}

# PyTorch's own values of settings under which other operators or dtypes would run.
PLAIN: dict[str, Any] = {
    "default dtype": torch.float32,
    "default device": None,
    "autocast": False,
    "autocast on CUDA": False,
    "anomaly detection": False,
}


class TorchState:
    """PyTorch's global settings at one time."""

    def __init__(self) -> None:
        self._values = {name: read() for name, (read, _) in SETTINGS.items()}

    def restore(self) -> None:
        """Put back what has changed."""
        for name, (read, put) in SETTINGS.items():
            if read() != self._values[name]:
                put(self._values[name])

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Have these settings inside the block, and afterwards those that there were before."""
        with torch_kept():
            self.restore()
            yield


@contextmanager
def torch_kept() -> Iterator[None]:
    """Give PyTorch's global settings back as they were before the block."""
    state = TorchState()
    try:
        yield
    finally:
        state.restore()


@contextmanager
def torch_plain() -> Iterator[None]:
    """Have ``PLAIN`` settings inside the block, whatever a model set, and afterwards those that there were before."""
    before = {name: SETTINGS[name][0]() for name in PLAIN}
    changed = [name for name, value in PLAIN.items() if before[name] != value]
    try:
        for name in changed:
            SETTINGS[name][1](PLAIN[name])
        yield
    finally:
        for name in changed:
            SETTINGS[name][1](before[name])
