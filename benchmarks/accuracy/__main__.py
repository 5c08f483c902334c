"""How far estimates lie from real inference, case by case, beside the repeatability floor.

    make accuracy                                      # the development set on 1 and 2 threads, over 25 minutes
    python -m benchmarks.accuracy --held-out       # the models that no method was chosen on
    python -m benchmarks.accuracy --quick          # four small models, under three minutes; see below

Every case is one `opclock validate` with a fresh profile. The quick check exits with 1 where the mean error is not at
least MIN_SPEEDUP times smaller than that of the back-to-back sum, twice in a row: a ratio, so it holds on any machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.accuracy.cases import DEVELOPMENT, HELD_OUT, QUICK, Case
from opclock.board.identity import read_board
from opclock.errors import OpclockError
from opclock.models.loading import load_model
from opclock.profiles.profile import Profile
from opclock.report.process_sentences import of_validation
from opclock.studies.processes import PROCESSES
from opclock.validation.results import Row, error_summary
from opclock.validation.validate import validate_model

MIN_SPEEDUP = 4.0  # measured 8 to 20: half of that says that something broke
MIN_BUDGET_S, BUDGET_LATENCIES = 5.0, 60  # what measuring a model from nothing may cost


def validated(case: Case, threads: int, processes: int) -> Row:
    """The case with a profile of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Profile.create_or_open(Path(folder) / "profile.sqlite", read_board()) as profile,
    ):
        model = load_model(case.model, input_text=case.input_text)
        return validate_model(model, profile, threads=threads, processes=processes)


def record(case: Case, row: Row) -> dict[str, Any]:
    """What the table shows of a row."""
    estimated, median_s = row.estimate, row.reference.median_s
    return {
        "case": case.name,
        "threads": row.threads,
        "op_calls": len(row.trace.calls),
        "reference_ms": median_s * 1e3,
        "repeat": row.reference.repeat_error,
        "error": row.error,
        "half_width": (estimated.ci_high_s - estimated.ci_low_s) / 2 / estimated.total_s,
        "held": estimated.ci_low_s <= median_s <= estimated.ci_high_s,
        "compatible": row.compatible,
        "by_page_faults": row.page_fault_error or 0.0,
        "back_to_back": row.baseline_error("back_to_back"),
        "host_share": estimated.host_s / estimated.total_s,
        "measure_s": row.measure_s,
        "in_budget": row.measure_s <= max(MIN_BUDGET_S, BUDGET_LATENCIES * median_s),
        "flags": " ".join(row.flags),
    }


def run(cases: Sequence[Case], threads: Sequence[int], processes: int) -> pd.DataFrame:
    """One row a case and number of threads; a case that fails is named on stderr and left out."""
    records = []
    for count in threads:
        for case in cases:
            try:
                row = validated(case, count, processes)
                records.append(record(case, row))
            except OpclockError as error:
                print(f"{case.name}: {error}", file=sys.stderr)
                continue
            latest = records[-1]
            print(f"{case.name}, {count} threads: {latest['error']:+.1%} (repeat {latest['repeat']:+.1%}) "
                  + of_validation(row), file=sys.stderr)  # fmt: skip
    return pd.DataFrame(records)


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """The figures that a change is judged by; fractions, not percents."""
    errors = error_summary(table["error"])
    back_to_back = table["back_to_back"].abs().mean()
    return {
        "cases": len(table),
        "mean_error": errors["mape"],
        "bias": table["error"].mean(),
        "mean_error_at_equal_page_faults": (table["error"] - table["by_page_faults"]).abs().mean(),
        "within_10pct": errors["within_10pct"],
        "worst": errors["max_abs_error"],
        "repeat": table["repeat"].abs().mean(),
        "back_to_back": back_to_back,
        "speedup": back_to_back / errors["mape"],
        "interval_holds": table["held"].mean(),  # the reference's median lies in the estimate's 95 % interval
        "compatible": table["compatible"].mean(),  # the two differ by no more than both intervals allow, see Row
        "widest_interval": table["half_width"].max(),
        "in_budget": table["in_budget"].mean(),
    }


def shown(table: pd.DataFrame) -> str:
    """The table as Markdown."""
    text = table.copy()
    for column in ("repeat", "error", "by_page_faults", "back_to_back"):
        text[column] = table[column].map("{:+.1%}".format)
    for column in ("half_width", "host_share"):
        text[column] = table[column].map("{:.1%}".format)
    text["reference_ms"] = table["reference_ms"].map("{:.2f}".format)
    text["measure_s"] = table["measure_s"].map("{:.1f}".format)
    return str(text.to_markdown(index=False))


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--processes", type=int, help="fresh processes that take turns in each case; 3, with --quick 1")
    parser.add_argument("--held-out", action="store_true", help="the models that no method was chosen on")
    parser.add_argument("--quick", action="store_true", help="four small models, and fail where the speedup is lost")
    parser.add_argument("--cases", nargs="+", help="only these, by the first word of their name")
    parser.add_argument("--json", type=Path, help="write every row here as well")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # what model libraries say about their own code
    processes = options.processes or (1 if options.quick else PROCESSES)
    cases = QUICK if options.quick else HELD_OUT if options.held_out else DEVELOPMENT
    if options.cases:
        cases = [case for case in [*DEVELOPMENT, *HELD_OUT] if case.name.split()[0] in options.cases]
    for attempt in (1, 2):
        table = run(cases, options.threads, processes)
        figures = summary(table)
        print(shown(table), "\n")
        for threads, rows in table.groupby("threads"):
            print(f"{threads} threads:", ", ".join(f"{name} {value:.3g}" for name, value in summary(rows).items()))
        print("all:", ", ".join(f"{name} {value:.3g}" for name, value in figures.items()), flush=True)
        if not options.quick or figures["speedup"] >= MIN_SPEEDUP:
            break
        print(f"attempt {attempt}: the speedup over back-to-back is {figures['speedup']:.1f}, below {MIN_SPEEDUP}")
    if options.json:
        options.json.write_text(json.dumps({"rows": table.to_dict("records"), "summary": figures}, indent=2) + "\n")
    if options.quick and figures["speedup"] < MIN_SPEEDUP:
        sys.exit(1)


if __name__ == "__main__":
    main()
