"""The device beside the host: its name and its state. Only reads; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

import torch

from opclock.board.memory import free_memory_bytes
from opclock.errors import OptionError, first_line

SIMULATED = "simulated"
# Reasons for a lowered clock, by bit (NVML's nvmlClocksEventReasons*), without idling.
SLOWED = {
    0x4: "power cap", 0x8: "hardware slowdown", 0x20: "thermal slowdown", 0x40: "hardware thermal slowdown",
    0x80: "power brake",
}  # fmt: skip

_simulating = False


@contextmanager
def simulated() -> Iterator[None]:
    """Use the CPU in place of a device inside the block, to test the code for devices without one."""
    global _simulating  # noqa: PLW0603
    _simulating = True
    try:
        yield
    finally:
        _simulating = False


def queue_of(device: str) -> str:
    """Name the queue that executes op calls on this device.

    Args:
        device: such as "cpu" or "cuda:0".

    Returns:
        The extension's name of the queue; "cpu" where there is none.
    """
    return SIMULATED if _simulating and device == "cpu" else device


def has_lanes(device: str) -> bool:
    """Whether this is a device beside the host, so that both work at the same time."""
    return queue_of(device) != "cpu"


def checked_device(text: str) -> str:
    """Check a device and complete its name.

    Args:
        text: such as "cpu", "cuda" or "cuda:0".

    Returns:
        The name with its number: "cuda:0" for "cuda".

    Raises:
        OptionError: this PyTorch cannot use the device.
    """
    try:
        device = torch.device(text)
        if device.type == "cpu":
            if device.index:
                raise OptionError(f"device={text!r}: there is one CPU; write cpu, and choose its cores with --cpus")
            return "cpu"
        whole = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise OptionError(f"device={text!r}: torch {torch.__version__} cannot use it ({first_line(error)}); "
                          "install the torch that is built for this board") from error  # fmt: skip
    if whole.type == "meta":
        raise OptionError(f"device={text!r}: nothing runs there")
    return str(whole)


def _backend(device: str) -> ModuleType | None:
    return None if device == "cpu" else torch.get_device_module(torch.device(device))


def wait_for(device: str) -> None:
    """Wait until the device is idle. On the CPU, return at once."""
    backend = _backend(device)
    if backend is not None:
        backend.synchronize(torch.device(device))


def free_bytes(device: str) -> int:
    """Free memory for tensors on a device.

    Args:
        device: such as "cpu" or "cuda:0".

    Returns:
        Bytes, including memory that PyTorch's caching allocator holds but does not use.
    """
    backend = _backend(device)
    if backend is None or not hasattr(backend, "mem_get_info"):
        return free_memory_bytes()
    kept = backend.memory_reserved(device) - backend.memory_allocated(device)
    return int(backend.mem_get_info(device)[0]) + int(kept)


def read_device(device: str) -> dict[str, Any]:
    """Read the name and the state of a device.

    Args:
        device: such as "cpu" or "cuda:0".

    Returns:
        JSON-ready data, without what the driver does not report: ``name``, ``allocated_bytes`` and ``reserved_bytes``
        (of PyTorch's caching allocator), and from NVML ``clock_hz``, ``memory_clock_hz``, ``temperature_c``,
        ``power_w`` and ``slowed`` (a list of reasons). Empty for the CPU.
    """
    backend = _backend(device)
    if backend is None:
        return {}
    facts: dict[str, Any] = {}
    with suppress(RuntimeError, AttributeError):
        facts["name"] = backend.get_device_name(device)
        facts["allocated_bytes"] = backend.memory_allocated(device)
        facts["reserved_bytes"] = backend.memory_reserved(device)
    return facts | (_nvml(torch.device(device).index or 0) if device.startswith("cuda") else {})


def _nvml(index: int) -> dict[str, Any]:
    """Read the state from NVIDIA's management library; empty where it is missing or does not answer, as on a Jetson."""
    try:
        import pynvml
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(index).uuid}")
        facts = {
            "clock_hz": pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) * 1_000_000,
            "memory_clock_hz": pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM) * 1_000_000,
            "temperature_c": float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
            "power_w": pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        }
        reasons = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
        return {**facts, "slowed": [text for bit, text in SLOWED.items() if reasons & bit]}
    except (pynvml.NVMLError, AttributeError, RuntimeError):
        return {}
