"""Study C: what limits the tokens of language models on this board, and does a narrower dtype help?"""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from opclock.errors import EstimateError, ModelError, OpCallError, OptionError, TraceError, model_errors
from opclock.generation.causal import CacheKind
from opclock.generation.language_model import language_model
from opclock.models.loading import Model, load_language_model
from opclock.models.names import nearest
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent, step
from opclock.studies.tokens_results import Refused, TokenCase, Tokens
from opclock.temporary import temporary_folder

# Written configurations of transformers; weights are random.
MODELS: dict[str, dict[str, Any]] = {
    "llama-135m": {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
        "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
        "tie_word_embeddings": True,
    },
    "qwen-67m": {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 512, "intermediate_size": 1408,
        "num_hidden_layers": 12, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 32000,
    },
    "gpt2-124m": {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"},
    "gemma-268m": {
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "hidden_size": 640, "head_dim": 256,
        "intermediate_size": 2048, "num_hidden_layers": 18, "num_attention_heads": 4, "num_key_value_heads": 1,
        "vocab_size": 262144, "sliding_window": 512,
    },
}  # fmt: skip
# Types of weights, each with a kind of cache.
SETTINGS: tuple[tuple[str, CacheKind], ...] = (
    ("float32", "dynamic"), ("float32", "static"), ("bfloat16", "dynamic"), ("int8", "dynamic"), ("int4", "dynamic"),
)  # fmt: skip
PROMPT = GENERATE = 128
DEEP = 1023  # tokens in the cache: the deepest that all of these models allow
INT4_GROUP = 32  # weights that share a scale: divides the widths of all models
INT4 = "torchao.prototype.quantization.int4.inference_workflow"  # torchao's other int4 formats have no CPU kernels
NARROW = {"int8": "torchao.quantization", "int4": INT4}  # weights alone, and the module that quantises them


def run(
    profile: Profile, *, threads: int, models: Sequence[str] = tuple(MODELS), seed: int = 0, progress: Progress = silent
) -> Tokens:
    """Estimate the tokens of four language models in several dtypes and with both kinds of cache.

    Args:
        profile: open for writing; what it has already is not timed again.
        threads: PyTorch's threads.
        models: names in MODELS.
        seed: for every random order.
        progress: receives a text and the fraction that is done.

    Returns:
        The findings. Without torchao, there is nothing in int8 and int4. A model that this board has no memory or no
        kernels for is among ``Tokens.refused``.

    Raises:
        OptionError: there is no such model.
        ModelError: no model could be timed.
        ProfileError: the profile cannot be written.
    """
    for name in models:
        if name not in MODELS:
            raise OptionError(f"the study has no model {name!r}{nearest(name, MODELS)}")
    wanted = [
        (name, weights, cache) for name in models for weights, cache in SETTINGS
        if weights not in NARROW or _installed(NARROW[weights])
    ]  # fmt: skip
    cases, refused = [], []
    for number, (name, weights, cache) in enumerate(wanted, start=1):
        try:
            result = language_model(
                _loaded(name, weights), profile, prompt=PROMPT, generate=GENERATE, cache=cache, depths=(DEEP,),
                threads=threads, seed=seed, progress=step(progress, number, len(wanted)),
            )  # fmt: skip
        except (ModelError, TraceError, OpCallError, OptionError, EstimateError) as error:
            refused.append(Refused(name, weights, cache, str(error)))
        else:
            cases.append(TokenCase(name, weights, result))
    if not cases:
        raise ModelError(f"no model of the study was timed; {refused[0].words}")
    return Tokens(profile.board(), threads, tuple(cases), tuple(refused))


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False


def _loaded(name: str, weights: str) -> Model:
    """A model of the study with weights of this type; beside int8 and int4 weights, activations are float32."""
    with temporary_folder() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(MODELS[name]), encoding="utf-8")
        dtype = "float32" if weights in NARROW else weights
        model = replace(load_language_model(f"hf:{folder}", dtype=dtype), name=name, specification=None)
    if weights in NARROW:
        with model_errors(f"torchao's {weights} of {name}"):  # some kernels take some widths alone
            _quantise(model, weights)
    return model


def _quantise(model: Model, weights: str) -> None:
    with warnings.catch_warnings(action="ignore"):  # torchao warns of what it deprecates
        from torchao.quantization import Int8WeightOnlyConfig, quantize_

        config: Any = Int8WeightOnlyConfig()
        if weights == "int4":
            config = importlib.import_module(INT4).PrototypeInt4WeightOnlyConfig(
                group_size=INT4_GROUP, set_inductor_config=False
            )
        quantize_(model.module, config)
