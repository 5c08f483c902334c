"""Time to the first token and per token against real greedy generation, beside what the bandwidth roofline would say.

    python -m benchmarks.tokens [--quick] [--json FILE] [--predict PROFILE] [--threads N] [NAME ...]

Six language models of 35 to 60 M parameters with random weights, none of which the code was written on, in float32 and
bfloat16, on one and on two threads: 24 cases of up to a minute (--quick: two models in float32 on two threads).

--json is written after each case. The same command goes on after an interruption: it says which cases it takes from
the file. --predict also estimates each case from a profile with `opclock sweep --preset board` alone, for both
numbers of threads, and for the state that the machine was in when the case was measured. Passes where the errors of
TTFT and of TPOT at each depth are at most 5 %, that of the whole generation is at most 4 % in the mean, and
predictions miss by at most 12 % in the mean.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from opclock import language_model, open_profile
from opclock.errors import OpclockError
from opclock.files import write_json
from opclock.profiles.machine_state import MachineState, usual_state
from opclock.profiles.profile import Profile

SCHEMA = "opclock.tokens-benchmark/2"  # rows of the first lack the state of the machine
SIZES = {"hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8, "vocab_size": 32000,
         "max_position_embeddings": 2048}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "olmo2": {"architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2", **SIZES, "intermediate_size": 1408,
              "num_key_value_heads": 8},
    "starcoder2": {"architectures": ["Starcoder2ForCausalLM"], "model_type": "starcoder2", **SIZES,
                   "intermediate_size": 2048, "num_key_value_heads": 2},
    "phi": {"architectures": ["PhiForCausalLM"], "model_type": "phi", **SIZES, "intermediate_size": 2048},
    "bloom": {"architectures": ["BloomForCausalLM"], "model_type": "bloom", "hidden_size": 512, "n_layer": 8,
              "n_head": 8, "vocab_size": 32000},
    "falcon": {"architectures": ["FalconForCausalLM"], "model_type": "falcon", **SIZES, "multi_query": True,
               "parallel_attn": True},
    "granite": {"architectures": ["GraniteForCausalLM"], "model_type": "granite", **SIZES, "intermediate_size": 1408,
                "num_key_value_heads": 4},
}  # fmt: skip
TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
QUICK = ("olmo2", "falcon")
MAX_EACH, MAX_TOTAL, MAX_PREDICTED = 0.05, 0.04, 0.12
MEASURES = ("ttft", "tpot", "total")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--generate", type=int, default=128)
    parser.add_argument("--threads", type=int, action="append", help="instead of one and two")
    parser.add_argument("--dtype", action="append", help="instead of float32 and bfloat16")
    parser.add_argument("--cache", choices=("dynamic", "static"), default="dynamic")
    parser.add_argument("--seconds", type=float, help="of rounds for each program, at most")
    parser.add_argument("--predict", type=Path, metavar="PROFILE")
    parser.add_argument("--json", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    chosen = parser.parse_args()
    names = chosen.names or (QUICK if chosen.quick else list(MODELS))
    dtypes, counts = (["float32"], [2]) if chosen.quick else (["float32", "bfloat16"], [1, 2])
    dtypes, counts = chosen.dtype or dtypes, chosen.threads or counts
    rows = kept(chosen.json)
    cases = [(name, dtype, count) for name in names for dtype in dtypes for count in counts]
    for number, (name, dtype, threads) in enumerate(cases, start=1):
        wanted = identity(name, dtype, min(threads, torch.get_num_threads()), chosen)
        known = next((row for row in rows if row["case"] == wanted and "failed" not in row), None)
        print(f"[{number}/{len(cases)}] {wanted}{f': taken from {chosen.json}' if known else ''}", flush=True)
        if known is None:
            rows = [row for row in rows if row["case"] != wanted] + [measured(wanted, chosen)]
        if chosen.predict:
            row = next(row for row in rows if row["case"] == wanted)
            row |= predicted(row["case"], chosen.predict, MachineState(row["state"]))
        if chosen.json:
            write_json(chosen.json, {"schema": SCHEMA, "rows": rows})
    return shown([row for row in rows if row["case"]["model"] in names])


def kept(path: Path | None) -> list[dict[str, Any]]:
    """The rows of an earlier run."""
    if path is None or not path.exists():
        return []
    data = json.loads(path.read_text(encoding="utf-8"))
    if data.get("schema") != SCHEMA:
        sys.exit(f"{path} is not of this benchmark: give --json another name")
    return list(data["rows"])


def identity(name: str, dtype: str, threads: int, chosen: argparse.Namespace) -> dict[str, Any]:
    """What makes a case."""
    return {"model": name, "dtype": dtype, "threads": threads, "prompt": chosen.prompt, "generate": chosen.generate,
            "cache": chosen.cache, "seconds": chosen.seconds}  # fmt: skip


def options(case: dict[str, Any]) -> dict[str, Any]:
    """Those of ``language_model``."""
    return {key: case[key] for key in ("prompt", "generate", "cache", "dtype", "threads")}


def written(folder: str, name: str) -> str:
    """The model's name, once its configuration is in a folder."""
    place = Path(folder) / name
    place.mkdir()
    (place / "config.json").write_text(json.dumps({**TOKENS, **MODELS[name]}), encoding="utf-8")
    return f"hf:{place}"


def measured(case: dict[str, Any], chosen: argparse.Namespace) -> dict[str, Any]:
    """One case in a fresh profile: the JSON of its validation, or why there is none."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, open_profile(Path(folder) / "board.sqlite") as profile:
        try:
            found = language_model(
                written(folder, case["model"]), profile, **options(case), validate=True, processes=1,
                max_s=chosen.seconds,
            ).to_json()  # fmt: skip
        except OpclockError as error:
            found = {"failed": str(error)}
            print(f"failed: {error}", flush=True)
        state = dict(usual_state(profile, case["threads"]).levels)
    return {"case": case, "wall_s": time.perf_counter() - start, "state": state, **found}


def predicted(case: dict[str, Any], path: Path, state: MachineState) -> dict[str, Any]:
    """The same case from a profile's sweeps alone, for this state of the machine and for that of the sweeps."""
    with tempfile.TemporaryDirectory() as folder, Profile.open(path) as profile:
        try:
            name = written(folder, case["model"])
            usual = language_model(name, profile, **options(case), predict=True).to_json()
            start = time.perf_counter()
            found = language_model(name, profile, **options(case), predict=True, state=state).to_json()
        except OpclockError as error:
            print(f"not predicted: {error}", flush=True)
            return {"predicted": None}
    wanted = ("ttft_s", "tpot_s", "total_s", "by_class", "phases", "flags")
    return {
        "predicted": {key: found[key] for key in wanted} | {"wall_s": time.perf_counter() - start},
        "predicted_usual": {key: usual[key] for key in wanted},
    }


def line(row: dict[str, Any]) -> dict[str, Any]:
    """One line of the table: errors of the estimate, the roofline and the prediction."""
    case = {key: row["case"][key] for key in ("model", "dtype", "threads")}
    if "failed" in row:
        return {**case, "flags": "failed"}
    real, errors = row["reference"], row["errors"]
    estimated = {one["depth"]: one["tpot_s"] for one in row["decode"]}
    worst = max((estimated[one["depth"]] / one["tpot_s"] - 1.0 for one in real["decode"]), key=abs)
    ours = row.get("predicted")
    guesses = {f"predicted_{key}": ours[f"{key}_s"] / real[f"{key}_s"] - 1.0 for key in MEASURES} if ours else {}
    if ours:
        guesses["usual_total"] = row["predicted_usual"]["total_s"] / real["total_s"] - 1.0
    return {
        **case,
        "ttft_ms": real["ttft_s"] * 1e3,
        "tpot_ms": real["tpot_s"] * 1e3,
        "ttft": errors["ttft"],
        "worst_tpot": worst,
        "total": errors["total"],
        "repeat": real["repeat_error"],
        "roofline_ttft": row["roofline"]["ttft_s"] / real["ttft_s"] - 1.0,
        "roofline_tpot": row["roofline"]["tpot_s"] / real["tpot_s"] - 1.0,
        **guesses,
        "wall_s": row["wall_s"],
        "flags": " ".join(row["flags"]),
    }


def shown(rows: list[dict[str, Any]]) -> int:
    """Print the table and the means; 0 where the targets are met."""
    table = pd.DataFrame(map(line, rows))
    times = dict.fromkeys(("ttft_ms", "tpot_ms", "wall_s"), "{:.1f}".format)
    print(table.to_string(index=False, float_format="{:+.3f}".format, formatters=times, na_rep=""))
    if "total" not in table:
        return 1
    each = max(float(table[column].abs().max()) for column in ("ttft", "worst_tpot"))
    total = float(table["total"].abs().mean())
    print(f"largest error of TTFT and TPOT {each:.1%}, mean error of the whole {total:.1%}")
    met = each <= MAX_EACH and total <= MAX_TOTAL and not table["total"].isna().any()
    guessed = [f"predicted_{key}" for key in MEASURES if f"predicted_{key}" in table]
    if guessed:
        means = {name: float(table[name].abs().mean()) for name in guessed}
        print(", ".join(f"{name} {value:.1%}" for name, value in means.items()), "in the mean; for the usual state of",
              f"the sweeps, total {table['usual_total'].abs().mean():.1%}")  # fmt: skip
        met = met and max(means.values()) <= MAX_PREDICTED
    print("targets met" if met else "targets missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
