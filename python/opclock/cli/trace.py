"""opclock trace: a model's op calls."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click
import pandas as pd

from opclock.cli import options
from opclock.cli.output import check_json, say, show_table, write_json


@click.command()
@options.model_argument
@options.input_option
@options.dtype_option
@options.device_option
@options.real_option
@options.json_option
def trace(
    model: str, input_text: str | None, dtype: str, device: str, real: bool, json_to: str | None
) -> None:  # fmt: skip
    """Record the op calls of one inference of MODEL, without running it.

    MODEL is zoo:NAME, torchvision:NAME, FILE.py:FACTORY or package.module:FACTORY. The JSON can be measured and
    estimated later, on another machine as well.
    """
    from opclock.models.loading import load_model
    from opclock.tracing.macs import macs, model_macs
    from opclock.tracing.operator_classes import class_of
    from opclock.tracing.recorder import trace as record

    check_json(json_to)
    loaded = load_model(model, input_text=input_text, dtype=dtype, device=options.checked_device(device))
    traced = record(loaded.module, loaded.inputs, name=loaded.name, real=real)
    if json_to:
        write_json(json_to, traced.to_json())
        if json_to == "-":
            return
    counts = Counter(call.call.operator for call in traced.calls)
    mac_counts: Counter[str] = Counter()
    classes = {}
    for call in traced.calls:
        mac_counts[call.call.operator] += macs(call)
        classes[call.call.operator] = class_of(call.call)
    rows = [(name, classes[name], count, f"{mac_counts[name] / 1e6:.1f}") for name, count in counts.most_common()]
    frame = pd.DataFrame(rows, columns=["operator", "class", "calls", "MACs (M)"])
    title = (
        f"{traced.model} {traced.input_text}: {len(traced.calls)} op calls, {len(traced.unique)} distinct, "
        f"{model_macs(traced) / 1e6:.1f} M MACs, {traced.parameters / 1e6:.2f} M parameters, "
        f"working set {traced.working_set / 1e6:.1f} MB"
    )
    show_table(frame, title, json_to)
    if json_to:
        say(f"written to {Path(json_to)}", json_to)
