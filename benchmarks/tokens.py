"""Time to the first token and per token against real greedy generation, beside what the bandwidth roofline would say.

    python -m benchmarks.tokens [--quick] [--prompt 128] [--generate 128] [--json FILE] [NAME ...]

Six language models of 30 to 140 M parameters with random weights, in float32 and bfloat16, on one and on two threads
(--quick: two models in float32 on two threads). Passes where the errors of TTFT and of TPOT at each depth are at most
5 %, and that of the whole generation is at most 4 % in the mean.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from opclock import language_model, open_profile
from opclock.files import write_json

LAYERS = {"num_hidden_layers": 12, "hidden_size": 512, "num_attention_heads": 8, "vocab_size": 32000}
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"},
    "smollm": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576, "head_dim": 64,
               "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
               "vocab_size": 49152, "tie_word_embeddings": True},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", **LAYERS, "intermediate_size": 1408,
              "num_key_value_heads": 2},
    "gemma3": {"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", **LAYERS, "head_dim": 64,
               "intermediate_size": 1024, "num_key_value_heads": 1, "sliding_window": 160},
    "neox": {"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", **LAYERS, "intermediate_size": 2048},
    "opt": {"architectures": ["OPTForCausalLM"], "model_type": "opt", **LAYERS, "ffn_dim": 2048,
            "word_embed_proj_dim": 512},
}  # fmt: skip
QUICK = ("gpt2", "qwen2")
MAX_EACH, MAX_TOTAL = 0.05, 0.04


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--generate", type=int, default=128)
    parser.add_argument("--cache", choices=("dynamic", "static"), default="dynamic")
    parser.add_argument("--json", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    chosen = parser.parse_args()
    names = chosen.names or (QUICK if chosen.quick else list(MODELS))
    counts = (2,) if chosen.quick else (1, 2)
    dtypes = ("float32",) if chosen.quick else ("float32", "bfloat16")
    results = []
    for name in names:
        for dtype in dtypes:
            for threads in counts:
                results.append(case(name, dtype, min(threads, torch.get_num_threads()), chosen))
                print(pd.DataFrame(map(row, results)).to_string(index=False, float_format="{:+.3f}".format), flush=True)
    if chosen.json:
        write_json(chosen.json, {"schema": "opclock.tokens/1", "rows": results})
    table = pd.DataFrame(map(row, results))
    each = max(float(table[column].abs().max()) for column in ("ttft", "worst_tpot"))
    total = float(table["total"].abs().mean())
    print(f"largest error of TTFT and TPOT {each:.1%}, mean error of the whole {total:.1%}")
    return 0 if each <= MAX_EACH and total <= MAX_TOTAL else 1


def case(name: str, dtype: str, threads: int, chosen: argparse.Namespace) -> dict[str, Any]:
    """One model, dtype and number of threads: the JSON of its validation."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / name
        place.mkdir()
        (place / "config.json").write_text(json.dumps(MODELS[name]), encoding="utf-8")
        with open_profile(Path(folder) / "board.sqlite") as profile:
            return language_model(
                f"hf:{place}", profile, prompt=chosen.prompt, generate=chosen.generate, cache=chosen.cache, dtype=dtype,
                threads=threads, validate=True, processes=1,
            ).to_json()  # fmt: skip


def row(data: dict[str, Any]) -> dict[str, Any]:
    """The errors of one case."""
    real, errors = data["reference"], data["errors"]
    estimated = {one["depth"]: one["tpot_s"] for one in data["decode"]}
    worst = max((estimated[one["depth"]] / one["tpot_s"] - 1.0 for one in real["decode"]), key=abs)
    return {
        "model": data["model"],
        "dtype": data["dtype"],
        "threads": str(data["threads"]),
        "ttft_ms": f"{real['ttft_s'] * 1e3:.1f}",
        "tpot_ms": f"{real['tpot_s'] * 1e3:.2f}",
        "ttft": errors["ttft"],
        "worst_tpot": worst,
        "total": errors["total"],
        "repeat": real["repeat_error"],
        "roofline_ttft": data["roofline"]["ttft_s"] / real["ttft_s"] - 1.0,
        "roofline_tpot": data["roofline"]["tpot_s"] / real["tpot_s"] - 1.0,
        "flags": " ".join(data["flags"]),
    }


if __name__ == "__main__":
    sys.exit(main())
