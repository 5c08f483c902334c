"""The pools of a model on a device beside the host: one for each timing, in the host's and in the device's own time."""

from __future__ import annotations

from opclock.errors import ModelError
from opclock.profiles.profile import Profile
from opclock.timing.device_graph import can_capture
from opclock.timing.host_playback import Host
from opclock.timing.inputs import Arguments
from opclock.timing.memory_budget import check_fit
from opclock.timing.missing import LANE_TIMINGS, condition_of
from opclock.timing.sampler import Sampler
from opclock.tracing.trace import Trace


def lane_samplers(
    trace: Trace, profile: Profile, host: Host, threads: int, seed: int, arguments: Arguments
) -> list[Sampler]:
    """Bind all op calls of a trace and warm them up, once for each timing on a device beside the host.

    Args:
        trace: the model.
        profile: open for writing.
        host: plays during the rounds of "in_model".
        threads: PyTorch's threads.
        seed: for every random order.
        arguments: real arguments for the trace.

    Returns:
        One sampler for each timing; that of the host's time comes first.

    Raises:
        OpCallError: the op calls do not fit into the device's memory, or an error of ``Sampler``.
        ProfileError: the profile cannot be written.
    """
    check_fit(trace)
    samplers = []
    for timing in (*LANE_TIMINGS, "recorded") if can_capture(trace.device) else LANE_TIMINGS:
        condition = condition_of(trace, threads, timing)
        played = host if timing == "in_model" else None
        sampler = Sampler(trace, range(len(trace.calls)), arguments, profile, condition, played, seed=seed)
        try:
            sampler.warm_up()
        except ModelError:  # some models cannot be captured in a graph, and estimates of eager inference do not need it
            continue
        samplers.append(sampler)
    return samplers
