"""Operator times of LiteRT, through the C API of the library in its wheel: the Python package hands out no profiler.

The functions and structures are those of litert/c/litert_profiler.h, litert_profiler_event.h, litert_compiled_model.h,
litert_options.h and litert_tensor_buffer.h. Options are TOML, as litert/c/options writes it.
"""

from __future__ import annotations

import ctypes
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

LIBRARY = "libLiteRt.so"
CPU = ctypes.c_int(1)  # kLiteRtHwAcceleratorCpu
WRITE = ctypes.c_int(1)  # kLiteRtTensorBufferLockModeWrite
FIRST = ctypes.c_size_t(0)  # the model's only signature
OPTIONS = {"runtime_options_string": "enable_profiling = true\n", "xnnpack": "num_threads = {threads}\n"}
RESOLUTION_S = 1e-6  # of the profiler
OPERATOR, DELEGATED = 1 << 1, 1 << 3  # types of events: an operator of the graph, and one inside a delegate
Handle = ctypes.c_void_p


class _Event(ctypes.Structure):
    """ProfiledEventData."""

    _fields_ = (
        ("tag", ctypes.c_char_p), ("type", ctypes.c_int), ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64), ("memory_before", ctypes.c_size_t * 3), ("memory_after", ctypes.c_size_t * 3),
        ("node", ctypes.c_uint64), ("subgraph", ctypes.c_uint64), ("source", ctypes.c_int),
    )  # fmt: skip


class _TensorType(ctypes.Structure):
    """LiteRtRankedTensorType: the type of its elements, and its layout."""

    _fields_ = (("element", ctypes.c_int), ("layout", ctypes.c_ubyte * 68))


class ProfiledOperator(NamedTuple):
    """One operator in one inference."""

    kind: str  # "CONV_2D", or XNNPACK's name for it
    node: int  # its number in the graph; where a delegate ran it, its number there
    seconds: float  # whole microseconds, rounded down
    delegated: bool


class ProfiledModel:
    """A compiled model that tells what each of its operators took. It lives as long as its process."""

    def __init__(self, model: Path, inputs: Sequence[npt.NDArray[Any]], threads: int) -> None:
        """Compile a .tflite file. Raises RuntimeError or OSError where the library refuses.

        Args:
            model: the file.
            inputs: in the order of the model's arguments.
            threads: of the kernels.
        """
        import ai_edge_litert

        self._library = ctypes.CDLL(str(Path(ai_edge_litert.__path__[0]) / LIBRARY))
        self._environment = self._made("LiteRtCreateEnvironment", ctypes.c_int(0), None)
        self._model = self._made("LiteRtCreateModelFromFile", self._environment, str(model).encode())
        options = self._options(threads)
        self._compiled = self._made("LiteRtCreateCompiledModel", self._environment, self._model, options)
        self._profiler = self._made("LiteRtCompiledModelGetProfiler", self._compiled)
        signature = self._made("LiteRtGetModelSignature", self._model, FIRST)
        self._inputs, self._outputs = (self._buffers(signature, side) for side in ("Input", "Output"))
        for place, array in zip(self._argument_order(signature), inputs, strict=True):
            self._fill(Handle(self._inputs[place]), np.ascontiguousarray(array))

    def run(self) -> None:
        """Run one inference. Raises RuntimeError."""
        inputs, outputs = self._inputs, self._outputs
        self._call("LiteRtRunCompiledModel", self._compiled, FIRST, ctypes.c_size_t(len(inputs)), inputs,
                   ctypes.c_size_t(len(outputs)), outputs)  # fmt: skip

    def operators(self) -> list[ProfiledOperator]:
        """Run one inference; its operators in order. Raises RuntimeError."""
        self._call("LiteRtStartProfiler", self._profiler)
        start = time.perf_counter()
        self.run()
        wall_s = time.perf_counter() - start
        self._call("LiteRtStopProfiler", self._profiler)
        count = ctypes.c_int()
        self._call("LiteRtGetNumProfilerEvents", self._profiler, ctypes.byref(count))
        events = (_Event * count.value)()
        self._call("LiteRtGetProfilerEvents", self._profiler, count, events)
        found = [
            ProfiledOperator(event.tag.decode(), event.node, event.elapsed_us / 1e6, event.type == DELEGATED)
            for event in events
            if event.type in (OPERATOR, DELEGATED)
        ]
        # A delegate is itself an operator of the graph, which takes as long as those inside it.
        operators = [one for one in found if one.delegated or "delegate" not in one.kind.lower()]
        if sum(one.seconds for one in operators) > wall_s + RESOLUTION_S * len(operators):
            raise RuntimeError(f"{LIBRARY} has events of another layout: its operators take longer than the inference")
        return operators

    def _options(self, threads: int) -> Handle:
        system = ctypes.CDLL(None)
        system.strdup.restype = ctypes.c_void_p
        options = self._made("LiteRtCreateOptions")
        self._call("LiteRtSetOptionsHardwareAccelerators", options, CPU)
        for name, text in OPTIONS.items():
            payload = Handle(system.strdup(text.format(threads=threads).encode()))
            free = ctypes.cast(system.free, Handle)
            self._call("LiteRtAddOpaqueOptions", options,
                       self._made("LiteRtCreateOpaqueOptions", name.encode(), payload, free))  # fmt: skip
        return options

    def _buffers(self, signature: Handle, side: str) -> ctypes.Array[Handle]:
        """A buffer for each tensor of one side: "Input" or "Output"."""
        count = ctypes.c_size_t()
        self._call(f"LiteRtGetNumSignature{side}s", signature, ctypes.byref(count))
        buffers = (Handle * count.value)()
        for number in range(count.value):
            place, kind = ctypes.c_size_t(number), _TensorType()
            tensor = self._made(f"LiteRtGetSignature{side}TensorByIndex", signature, place)
            self._call("LiteRtGetRankedTensorType", tensor, ctypes.byref(kind))
            needs = self._made(f"LiteRtGetCompiledModel{side}BufferRequirements", self._compiled, FIRST, place)
            buffers[number] = self._made("LiteRtCreateManagedTensorBufferFromRequirements", self._environment,
                                         ctypes.byref(kind), needs)  # fmt: skip
        return buffers

    def _argument_order(self, signature: Handle) -> list[int]:
        """The places of the inputs in the signature, in the order of the model's arguments: "args_0", "args_1"."""
        names = []
        for place in range(len(self._inputs)):
            name = ctypes.c_char_p()
            self._call("LiteRtGetSignatureInputName", signature, ctypes.c_size_t(place), ctypes.byref(name))
            names.append((name.value or b"").decode())
        return sorted(range(len(names)), key=lambda place: last_number(names[place]))

    def _fill(self, buffer: Handle, array: npt.NDArray[Any]) -> None:
        address, size = Handle(), ctypes.c_size_t()
        self._call("LiteRtGetTensorBufferSize", buffer, ctypes.byref(size))
        if size.value < array.nbytes:
            raise RuntimeError(f"LiteRT's input takes {size.value} bytes, not {array.nbytes}")
        self._call("LiteRtLockTensorBuffer", buffer, ctypes.byref(address), WRITE)
        ctypes.memmove(address, array.ctypes.data, array.nbytes)
        self._call("LiteRtUnlockTensorBuffer", buffer)

    def _made(self, name: str, *arguments: Any) -> Handle:  # noqa: ANN401 - what the function takes
        """What a function of the library hands out through its last argument. Raises RuntimeError."""
        handle = Handle()
        self._call(name, *arguments, ctypes.byref(handle))
        return handle

    def _call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            raise RuntimeError(f"{name} of {LIBRARY} failed with status {status}")


def last_number(name: str) -> int:
    """The last number in a tensor's name, such as "args_1"; 0 where it has none."""
    digits = re.findall(r"\d+", name)
    return int(digits[-1]) if digits else 0
