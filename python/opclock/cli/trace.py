"""opclock trace: record a model's op calls."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from opclock.cli import options
from opclock.cli.reporting import Reporter, waiting
from opclock.models.output import model_output_apart


@click.command()
@options.model_argument
@options.input_option
@options.dtype_option
@options.device_option
@options.real_option
@options.timeline_option
@options.reporter_option
def trace(
    model: str, input_text: str | None, dtype: str, device: str, real: bool | None, timeline_to: Path | None,
    reporter: Reporter,
) -> None:  # fmt: skip
    """Record the op calls of one inference of MODEL, in the state that it keeps after its first runs.

    Tensors are fake: they have shapes and no values, except small ones that are known without a run, such as masks. One
    real run checks the trace where that is cheap. A model that needs data, or does otherwise than with fake tensors, is
    traced by a real run.

    MODEL is zoo:NAME, torchvision:NAME, timm:NAME, hf:NAME_OR_FOLDER, ultralytics:NAME.yaml, FILE.py:FACTORY,
    package.module:FACTORY, FILE.pt2 (torch.export) or FILE.pt (TorchScript, with --input). The JSON file can be
    measured and estimated later, also on another machine. In a timeline each op call is equally wide: a trace has no
    times.
    """
    from opclock.report.trace_table import summary, table, uncounted_sentence
    from opclock.tracing.macs import model_macs, uncounted

    with model_output_apart(), waiting("loading torch and the model, and tracing it"):
        from opclock.models.loading import load_model

        loaded = load_model(model, input_text=input_text, dtype=dtype, device=options.checked_device(device))
        traced = options.traced(loaded, real=real)
    left_out = uncounted(traced)
    reporter.json({**traced.to_json(), "macs": model_macs(traced), "uncounted_operators": list(left_out)})
    if timeline_to is not None:
        from opclock.report.timelines import of_trace

        reporter.file(partial(of_trace(traced).write, timeline_to))
    reporter.say(summary(traced))
    reporter.table(table(traced))
    if left_out:
        reporter.say(uncounted_sentence(left_out))
    if reporter.json_to not in (None, "-"):
        reporter.say(f"written to {reporter.json_to}")
