"""Checks whether this board can be measured well. They take seconds and change nothing."""

from __future__ import annotations

import platform
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from opclock.board.cores import alike, default_threads, emulator, ranges, read_clusters, within
from opclock.board.pages import NEEDED_BYTES, PAGE_KIB, TUNABLE, asks_for_large_pages, small_over_large
from opclock.board.quota import cpu_quota
from opclock.board.state import read_state
from opclock.board.system import all_cores, allowed_cores, given_environment, openmp_binding
from opclock.errors import ExtensionError
from opclock.extension import REBUILD, load_aten, load_core
from opclock.formatting import BYTES, HERTZ, SECONDS, counted, quantity

Status = Literal["ok", "warning", "trouble"]

BUSY_LOAD = 0.3  # 1-minute load: from here on, other processes run often enough to change medians
MIN_FREE_BYTES = 500_000_000  # enough for PyTorch, a small model and its copy in the pool
IN_PIECES = 1.5  # times as long from small pages; at 1.3 to 2, large ones saved 5 to 19 % (``docs/variance.md``)
HOT_C = 80.0  # boards of the Raspberry Pi kind begin to throttle at 80 °C


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    status: Status
    finding: str
    remedy: str = ""  # the command or step that fixes it


def _core() -> Check:
    try:
        core = load_core()
    except ExtensionError as error:
        return Check("extension", "trouble", str(error).removesuffix(f": {REBUILD}"), REBUILD)
    return Check("extension", "ok", f"opclock {core.__version__}, commit {core.BUILD_COMMIT}")


def _clock() -> Check:
    try:
        clock = load_core().Clock.choose()
    except ExtensionError:
        return Check("clock", "trouble", "not measured: the extension does not load")
    proof = clock.prove()
    finding = (
        f"{clock.name} at {quantity(clock.rate_hz, HERTZ)}, resolution {quantity(clock.resolution_s, SECONDS)}, "
        f"a read costs {quantity(clock.read_cost_s, SECONDS)}, within {proof.disagreement:.1e} of the OS clock"
    )
    if proof.agrees and clock.steady:
        return Check("clock", "ok", finding)
    return Check("clock", "trouble", finding, "stop other load and run 'opclock doctor' again")


def _cores() -> Check:
    translator = emulator(platform.machine())
    if translator:
        finding = f"{platform.machine()} emulated by {translator}: answers are right, times mean nothing"
        return Check("cores", "trouble", finding, "measure on the board itself")
    state, clusters = read_state(), read_clusters()
    used = within(clusters, state.affinity)
    mode = f"; power mode {state.power_mode}" if state.power_mode else ""
    finding = "; ".join(map(str, clusters)) + mode
    if not alike(used):
        return Check("cores", "warning", f"{finding}: a team over unlike cores waits for the slowest",
                     f"pin to one cluster: --cpus {ranges(used[-1].cores)}")  # fmt: skip
    return Check("cores", "ok", finding)


def _quota() -> Check:
    """Whether the container's CPU quota leaves every core its time. Without a quota this is no problem."""
    quota, allowed = cpu_quota(), len(allowed_cores())
    if quota is None:
        return Check("quota", "ok", f"none: {counted(allowed, 'core')} may be used all the time")
    finding = f"this container gets the time of {quota:.3g} cores on {counted(allowed, 'core')}"
    if quota >= allowed:
        return Check("quota", "ok", finding)
    return Check("quota", "warning", f"{finding}: more threads are stopped in every period",
                 f"use --threads {default_threads()} (the default here), or give the container more")  # fmt: skip


def check_governor() -> Check:
    """Whether the frequency of the cores stays while something is timed."""
    state = read_state()
    if not state.governors:
        return Check("governor", "ok", "the kernel shows none (a virtual machine, or a fixed frequency)")
    finding = ", ".join(f"{governor} on cores {cores}" for cores, governor in state.governors.items())
    if set(state.governors.values()) == {"performance"}:
        return Check("governor", "ok", finding)
    return Check("governor", "warning", f"{finding}: the frequency may move while timing",
                 "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")  # fmt: skip


def _throttling() -> Check:
    state = read_state()
    temperature = "unknown" if state.temperature_c is None else f"{state.temperature_c:.0f} °C"
    if state.throttle:
        return Check("throttling", "warning", f"{', '.join(state.throttle)}; temperature {temperature}",
                     "check power supply and cooling, then reboot to clear the flags")  # fmt: skip
    if state.temperature_c is not None and state.temperature_c >= HOT_C:
        return Check("throttling", "warning", f"temperature {temperature}", "let it cool, or add a fan")
    return Check("throttling", "ok", f"no flags; temperature {temperature}")


def _load() -> Check:
    load = read_state().load
    if load <= BUSY_LOAD:
        return Check("load", "ok", f"1-minute load {load:.2f}")
    return Check("load", "warning", f"1-minute load {load:.2f}", "see 'top' and stop what you can, or wait")


def _memory() -> Check:
    free = read_state().available_bytes
    if free >= MIN_FREE_BYTES:
        return Check("memory", "ok", f"{quantity(free, BYTES)} free")
    return Check(
        "memory", "warning", f"{quantity(free, BYTES)} free: large models will not fit", "stop other processes"
    )


def _pages() -> Check:
    """Whether memory lies in pieces. On a virtual machine that makes reading the weights of a model slower."""
    if asks_for_large_pages():
        return Check("pages", "ok", f"{TUNABLE} asks for large pages")
    short = read_state().available_bytes < max(MIN_FREE_BYTES, NEEDED_BYTES)
    ratio = None if short else small_over_large()
    if ratio is None:
        return Check("pages", "ok", f"not compared: {'memory is short' if short else 'no large ones to be seen'}")
    finding = f"reading memory from pages of {PAGE_KIB} KiB takes {ratio:.1f} times as long as from large pages"
    if ratio < IN_PIECES:
        return Check("pages", "ok", finding)
    return Check("pages", "warning", f"{finding}: free memory lies in pieces, which slows models with many weights",
                 f"export GLIBC_TUNABLES={TUNABLE}=1  # glibc 2.35, here and in use")  # fmt: skip


# The sum starts the team. The cores of all its threads together are those that kernels run on.
_IMPORT = """
import os, torch
(torch.ones(1 << 20) + 1).sum()
tasks = os.listdir("/proc/self/task") if hasattr(os, "sched_getaffinity") and os.path.exists("/proc/self/task") else ()
cores = set().union(*(os.sched_getaffinity(int(task)) for task in tasks))
print(torch.__version__, torch.get_num_threads(), len(cores), torch.backends.cpu.get_cpu_capability())
"""


def _torch() -> Check:
    """Import torch in a child process: an illegal instruction then ends the child, not this process."""
    try:
        with all_cores():
            child = subprocess.run(
                [sys.executable, "-c", _IMPORT], capture_output=True, encoding="utf-8", timeout=120, check=False,
                env=given_environment(),
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Check("torch", "trouble", "importing it takes over two minutes", "use a faster disk or another build")
    if child.returncode == -signal.SIGILL:
        return Check("torch", "trouble", f"this build uses instructions that this {platform.machine()} core lacks",
                     "install a build for this core: an older wheel, or the board vendor's own")  # fmt: skip
    if child.returncode != 0:
        last = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
        return Check("torch", "trouble", last, f"pip install torch (the build for this board), then {REBUILD}")
    version, threads, team_cores, capability = child.stdout.split(maxsplit=3)
    allowed = len(allowed_cores())
    finding = f"torch {version}, {capability.strip()}, {counted(int(threads), 'thread')} on {counted(allowed, 'core')}"
    if int(threads) > allowed:
        return Check("torch", "warning", f"{finding}: threads will wait for one another", f"use --threads {allowed}")
    return _openmp(finding, child.stderr, int(threads), int(team_cores))


def _openmp(finding: str, complaints: str, threads: int, team_cores: int) -> Check:
    """What OpenMP does with its environment variables: it refuses some values, and binds threads to cores by others."""
    if refused := re.search(r"libgomp: .*variable (\w+)", complaints):
        given = f"{refused[1]}={given_environment().get(refused[1], '')}"
        finding = f"{finding}; OpenMP cannot read {given}, and ignores it"
        return Check("torch", "warning", finding, f"unset {refused[1]}, or give it a value that OpenMP knows")
    if binding := openmp_binding():
        return _bound(finding, binding, threads, team_cores)
    return Check("torch", "ok", finding)


def _bound(finding: str, binding: dict[str, str], threads: int, cores: int) -> Check:
    """What OpenMP's variables do to PyTorch's threads: one core each, which is as good, or several on one core."""
    given = ", ".join(f"{name}={text}" for name, text in binding.items())
    if 0 < cores < threads:
        return Check("torch", "warning", f"{finding}; {given} binds them to {counted(cores, 'core')}, where they wait "
                     "for one another", f"unset {' '.join(binding)}")  # fmt: skip
    return Check("torch", "ok", f"{finding}; {given} binds each thread to its core")


def _match() -> Check:
    try:
        load_aten()
    except ExtensionError as error:
        return Check("operators", "trouble", str(error), REBUILD)
    return Check("operators", "ok", "the extension fits this torch")


def _runtimes() -> Check:
    """Which runtimes besides eager PyTorch can be used. A missing runtime is not a problem."""
    from opclock.runtimes.registry import find, names

    missing = {name: find(name).missing() for name in names()}
    finding = ", ".join(name for name, reason in missing.items() if not reason)
    absent = ", ".join(name for name, reason in missing.items() if reason)
    if absent:
        finding += f"; missing: {absent} ('opclock bench' says how to install them)"
    return Check("runtimes", "ok", finding)


def _device() -> Check:
    """The device beside the host, if this torch can use one. Having none is not a problem."""
    import torch

    from opclock.board.accelerator import read_device

    if not torch.accelerator.is_available():
        return Check("device", "ok", "none beside the host that this torch can use")
    device = read_device(f"{torch.accelerator.current_accelerator()}:0")
    clock = f" at {quantity(device['clock_hz'], HERTZ)}" if "clock_hz" in device else ""
    degrees = f", {device['temperature_c']:.0f} degrees" if "temperature_c" in device else ""
    finding = f"{device.get('name', 'one without a name')}{clock}{degrees}"
    if device.get("slowed"):
        return Check("device", "warning", f"{finding}, slowed: {', '.join(device['slowed'])}",
                     "let it cool, or raise its power limit")  # fmt: skip
    return Check("device", "ok", finding)


CHECKS: tuple[Callable[[], Check], ...] = (
    _core,
    _clock,
    _cores,
    _quota,
    check_governor,
    _throttling,
    _load,
    _memory,
    _pages,
    _torch,
)


def diagnose() -> list[Check]:
    """Run every check.

    Torch is first imported in a child process. Whether the extension fits torch is checked only where that works.

    Returns:
        The results, in the order in which they are shown.
    """
    checks = [check() for check in CHECKS]
    if checks[-1].status != "trouble":
        checks += [_match(), _device(), _runtimes()]
    return checks


def identified(checks: list[Check]) -> dict[str, Any] | None:
    """The board's facts, as its profiles have them; None where the checks found that it cannot be measured."""
    if any(check.name == "torch" and check.status == "trouble" for check in checks):  # importing it may end the process
        return None
    from opclock.board.identity import read_board

    try:
        return read_board().to_json()
    except ExtensionError:
        return None
