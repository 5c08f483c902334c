"""Models of transformers from a configuration: random weights, and inputs made for the task."""

from __future__ import annotations

import inspect
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from opclock.errors import ModelError, described
from opclock.models.factories import ModuleAndInputs
from opclock.models.names import nearest
from opclock.models.random_inputs import own_dtype
from opclock.tracing.recorder import quiet_torch

TOKENS = 128  # of text, where the model takes as many
SAMPLES = 16_000  # of a waveform: one second
FRAMES = 3_000  # of a spectrogram: Whisper's thirty seconds
VIDEO_FRAMES = 16  # where the configuration names no number
CONNECT_S = 5.0  # for the hub to answer
Tensors = dict[str, torch.Tensor]


def from_config(name: str) -> ModuleAndInputs:
    """Build a model from its configuration alone.

    Args:
        name: of a model on the Hugging Face hub, or a folder with its config.json. Nothing else is downloaded.

    Returns:
        The module of the configuration's first architecture in the configuration's dtype, and its keyword arguments.

    Raises:
        ModelError: the configuration cannot be read, or no inputs are known that the model runs with.
    """
    import transformers

    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise ModelError(f"the folder {name} has no config.json")
    config = _config(name)
    architecture = (getattr(config, "architectures", None) or ["AutoModel"])[0]
    kind = getattr(transformers, architecture, None)
    if kind is None:
        known = [known for known in dir(transformers) if known.startswith(architecture[:2])]
        raise ModelError(f"hf:{name} is of the architecture {architecture}, which transformers "
                         f"{transformers.__version__} has not{nearest(architecture, known)}")  # fmt: skip
    module = kind.from_config(config) if architecture == "AutoModel" else kind._from_config(config)
    return module.eval(), _fitting(name, module)


def _config(name: str) -> Any:  # noqa: ANN401
    """The configuration, from a folder, the cache or the hub. Raises ModelError where there is none."""
    import transformers

    read = transformers.AutoConfig.from_pretrained
    try:
        with suppress(Exception):
            return read(name, local_files_only=True)  # the hub is not asked whether there is a newer one
        if not Path(name).is_dir() and (reason := _unreachable()):
            raise ModelError(
                f"hf:{name} is no folder and not in the cache, and the hub cannot be reached ({reason}): connect this "
                "machine once, or give a folder with a config.json"
            )
        return read(name)
    except ModelError:
        raise
    except Exception as error:  # of many kinds: the network, the hub, the file
        raise ModelError(
            f"no configuration for hf:{name} (a model of the hub, or a folder with a config.json): {described(error)}"
        ) from error


def _unreachable() -> str:
    """Why the hub cannot be reached, after a few seconds; "" where it can. Its own library tries for half a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if getproxies():
        return ""  # the way leads through them
    address = urlsplit(constants.ENDPOINT)
    answer: queue.SimpleQueue[str] = queue.SimpleQueue()

    def connect() -> None:
        try:
            port = address.port or {"http": 80}.get(address.scheme, 443)
            socket.create_connection((address.hostname or "", port), CONNECT_S).close()
            answer.put("")
        except OSError as error:
            answer.put(f"{address.hostname}: {error.strerror or error}")

    threading.Thread(target=connect, daemon=True).start()  # looking up a name has no time limit of its own
    try:
        return answer.get(timeout=CONNECT_S)
    except queue.Empty:
        return f"{address.hostname}: no answer within {CONNECT_S:.0f} s"


def _fitting(name: str, module: Any) -> Tensors:  # noqa: ANN401
    """The first candidate that the forward accepts, tried with fake tensors.

    Where it accepts none, the first one that was not refused for what it lacks: fake tensors cannot do everything.
    """
    refusal, possible = "", None
    for inputs in _candidates(module):
        fake = FakeTensorMode(allow_non_fake_inputs=True)
        try:
            with torch.inference_mode(), quiet_torch(), fake:
                module(**{key: fake.from_tensor(tensor) for key, tensor in inputs.items()})
        except (ValueError, TypeError, AttributeError, AssertionError) as error:
            refusal = refusal or described(error)
        except Exception:
            possible = possible or inputs
        else:
            return inputs
    if possible is None:
        raise ModelError(f"hf:{name}: {type(module).__name__} runs with none of the inputs that opclock knows "
                         f"({refusal}): write a factory that returns the model and its inputs")  # fmt: skip
    return possible


def _candidates(module: Any) -> Iterator[Tensors]:  # noqa: ANN401
    """Inputs from the fewest to all that are known: the main one, with a decoder's, with every other modality's."""
    known = _known(module.config, own_dtype(module))
    parameters = inspect.signature(module.forward).parameters
    takes = {key: tensor for key, tensor in known.items() if key in parameters}
    main = module.main_input_name
    masked = {"input_ids": ("input_ids", "attention_mask")}
    first = masked.get(main, (main,)) if isinstance(main, str) else tuple(main)
    decoder = ("decoder_input_ids",) if module.config.is_encoder_decoder else ()
    required = tuple(key for key, value in parameters.items() if value.default is value.empty)
    for wanted in ((*first, *required, *decoder), (*first, *required, *decoder, "input_ids", "pixel_values"), takes):
        inputs = {key: takes[key] for key in wanted if key in takes}
        if inputs:
            yield inputs


def _known(config: Any, dtype: torch.dtype) -> Tensors:  # noqa: ANN401
    """Random inputs by the names that transformers' models give them."""
    text, vision = _part(config, "text_config"), _part(config, "vision_config")
    audio = _part(config, "audio_config")
    tokens = min(TOKENS, _number(text, 1 << 30, "max_position_embeddings", "n_positions") - 2)
    vocabulary = min(_number(text, 2, "vocab_size"), 30_000)
    ids = torch.randint(min(5, vocabulary - 1), vocabulary, (1, max(tokens, 1)))  # the lowest are special tokens
    image = torch.randn(
        1, _number(vision, 3, "num_channels", "in_channels", "in_chans"), *_image_size(vision), dtype=dtype
    )
    frames = _number(vision, 0, "num_frames")
    video = image.expand(1, frames or VIDEO_FRAMES, *image.shape[1:]).clone()
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "decoder_input_ids": ids.clone(),
        "bbox": torch.tensor([0, 0, 10, 10]).expand(*ids.shape, 4).clone(),  # left, top, right, bottom of each token
        "pixel_values": video if frames else image,
        "pixel_values_videos": video,
        "input_values": torch.randn(_waveform(audio), dtype=dtype),
        "input_features": torch.randn(_spectrogram(audio), dtype=dtype),
    }


def _waveform(config: Any) -> tuple[int, ...]:  # noqa: ANN401
    """The shape of input_values: samples, or (frames, bins) for models of a spectrogram that name it so."""
    bins, frames = _number(config, 0, "num_mel_bins"), _number(config, 0, "max_length")
    return (1, frames, bins) if bins and frames else (1, SAMPLES)


def _spectrogram(config: Any) -> tuple[int, ...]:  # noqa: ANN401
    """The shape of input_features: (bins, frames) for Whisper and its relatives, (frames, bins) for others."""
    bins = _number(config, 80, "num_mel_bins", "feature_size", "input_feat_per_channel")
    places = _number(config, 0, "max_source_positions")
    frames = min(FRAMES, 2 * places) if places else FRAMES  # a convolution halves them
    return (1, bins, frames) if places and not hasattr(config, "input_feat_per_channel") else (1, frames, bins)


def _part(config: Any, name: str) -> Any:  # noqa: ANN401
    """The configuration of one modality; the whole one where it has no parts."""
    return getattr(config, name, None) or config


def _number(config: Any, default: int, *names: str) -> int:  # noqa: ANN401
    """The first of these settings that is a positive number."""
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return default


def _image_size(config: Any) -> tuple[int, int]:  # noqa: ANN401
    """Height and width of images in pixels."""
    size = getattr(config, "image_size", None) or 224
    if isinstance(size, dict):
        return int(size["height"]), int(size["width"])
    return (int(size[0]), int(size[1])) if isinstance(size, list | tuple) else (int(size), int(size))
