"""Tables and sentences about a language model's tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opclock.formatting import BYTES, COUNT, SECONDS, digits, percent, quantity
from opclock.generation.roles import ROLES, WEIGHTS
from opclock.report.estimate_tables import state_sentence
from opclock.report.table import Table, numbers, percents, ready, texts

# With the settings in opclock.generation.loops.
LOOP_NAMES = {
    "greedy": "greedy", "sampling": "sampling (temperature 0.8, top-k 50)", "beam_search": "beam search (4 beams)",
}  # fmt: skip

if TYPE_CHECKING:
    from opclock.generation.result import LanguageModelEstimate


def depth_table(result: LanguageModelEstimate) -> Table:
    """One token at each measured depth."""
    frame = result.to_frame()
    real = [numbers("measured", list(frame["reference_s"]), SECONDS),
            percents("error", list(frame["error"]), 0, signed=True)] if "reference_s" in frame else []  # fmt: skip
    return Table([
        numbers("depth", list(frame["depth"]), COUNT),
        numbers("token", list(frame["tpot_s"]), SECONDS),
        *real,
        ready("tokens/s", [digits(rate) for rate in frame["tokens_per_s"]]),
        numbers("from", list(frame["ci_low_s"]), SECONDS, 2),
        numbers("to", list(frame["ci_high_s"]), SECONDS, 2),
        numbers("roofline", [value or None for value in frame["roofline_s"].astype(float)], SECONDS, 1),
        numbers("MACs", list(frame["macs"]), COUNT, 3),
        numbers("cache", list(frame["cache_bytes"]), BYTES, 1),
        texts("remark", ["held out" if depth == result.held_out else "" for depth in frame["depth"]], 4),
    ], title(result))  # fmt: skip


def title(result: LanguageModelEstimate) -> str:
    """What was asked for."""
    asked = result.request
    return (
        f"{result.model}, {result.prompt.setting}: prompt of {asked.prompt}, {asked.generate} tokens generated, batch "
        f"{asked.batch}, {asked.cache} cache"
    )


def class_table(result: LanguageModelEstimate) -> Table:
    """Where the time of the prompt and of a mean token goes."""
    prompt, token = result.by_role["prompt"], result.by_role["token"]
    return Table([
        texts("time goes to", ROLES),
        numbers("prompt", [prompt[role] for role in ROLES], SECONDS),
        percents("of prompt", [prompt[role] / result.ttft_s for role in ROLES]),
        numbers("token", [token[role] for role in ROLES], SECONDS),
        percents("of token", [token[role] / result.tpot_s for role in ROLES]),
    ])  # fmt: skip


def summary(result: LanguageModelEstimate) -> str:
    """The times and rates in one line."""
    rates = result.tokens_per_s
    first = _with_interval(result.ttft_s, (result.prompt.ci_low_s, result.prompt.ci_high_s))
    return (
        f"first token after {first} (pp {digits(rates['prompt'])} tokens/s), then "
        f"{_with_interval(result.tpot_s, result.tpot_interval_s)} for a mean token (tg {digits(rates['generate'])} "
        f"tokens/s); all {_with_interval(result.total_s, result.interval_s)}"
    )


def _with_interval(seconds: float, interval_s: tuple[float, float]) -> str:
    low, high = (quantity(end_s, SECONDS) for end_s in interval_s)
    return f"{quantity(seconds, SECONDS)} [{low}, {high}]"


def ceilings_sentence(result: LanguageModelEstimate) -> str:
    """What MACs and the roofline would have said, and how near the products with weights come to it; "" without."""
    if result.roofline is None or result.mac_ceiling is None:
        return ""
    mean = result.mean_over_depths
    roof_s, macs_s = mean(result.roofline.tpot_s), mean(result.mac_ceiling.tpot_s)
    weights_s, least_s = result.by_role["token"][WEIGHTS], mean(result.roofline.weights_s)
    near = f"; products with weights reach {percent(least_s / weights_s)} of the bandwidth" if weights_s else ""
    return (
        f"the roofline says {quantity(result.roofline.ttft_s, SECONDS)} and {quantity(roof_s, SECONDS)} a token "
        f"({percent(roof_s / result.tpot_s - 1.0, signed=True)}), MACs alone "
        f"{quantity(result.mac_ceiling.ttft_s, SECONDS)} and {quantity(macs_s, SECONDS)}{near}"
    )


def memory_sentence(result: LanguageModelEstimate) -> str:
    """Memory of weights and cache."""
    last = result.measured[-1].depth
    return (
        f"memory: weights {quantity(result.weight_bytes, BYTES)}, cache {quantity(result.cache_bytes[-1], BYTES)} at "
        f"depth {last}"
    )


def curve_sentence(result: LanguageModelEstimate) -> str:
    """How op calls depend on the depth, and how well that holds."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in result.curve.kinds.items())
    if result.held_out is None:
        return f"op calls by depth: {kinds}"
    return f"op calls by depth: {kinds}; misfit at depth {result.held_out}: {percent(result.misfit, signed=True)}"


def machine_state_sentence(result: LanguageModelEstimate) -> str:
    """What the machine's state changes; "" where it changes nothing."""
    return state_sentence(result.prompt)


def reference_sentence(result: LanguageModelEstimate) -> str:
    """Real generation beside the estimate; "" without."""
    real, errors = result.reference, result.errors
    if real is None or errors is None:
        return ""
    repeats = real.repeat_errors
    measured = {"ttft": real.ttft_s, "tpot": real.tpot_s, "total": real.total_s}
    names = {"ttft": "first token", "tpot": "mean token", "total": "all"}
    parts = [
        f"{names[name]} {quantity(measured[name], SECONDS)} (error {percent(errors[name], signed=True)}, repeat "
        f"{percent(repeats[name], signed=True)})"
        for name in names
    ]
    doubt = "; not reliable, as other programs disturbed it" if real.contended else ""
    return f"real greedy generation, {len(real.samples)} times: {', '.join(parts)}{doubt}"


def loops_sentence(result: LanguageModelEstimate) -> str:
    """What loops of transformers do between two tokens; "" where that was not timed."""
    loops_s = {} if result.reference is None else result.reference.loops_s
    if not loops_s:
        return ""
    parts = [f"{LOOP_NAMES[name]} {quantity(seconds, SECONDS)}" for name, seconds in loops_s.items()]
    return (
        f"generate of transformers takes between two tokens, outside the model: {', '.join(parts)}; timed apart, and "
        "no part of the estimate"
    )
