"""What was learnt from sweeps, kept in the profile that holds them."""

from __future__ import annotations

import hashlib
import json

from opclock import arithmetic
from opclock.errors import ProfileError
from opclock.files import json_text
from opclock.prediction import ceilings as ceilings_code
from opclock.prediction import (
    class_model,
    convolution_backend,
    features,
    forest,
    gaussian_process,
    surroundings,
    training,
)
from opclock.prediction.ceilings import Ceilings
from opclock.prediction.class_model import ClassModel
from opclock.prediction.training import Training, training_pools
from opclock.profiles import disturbance, machine_state, predictor_table, state_change, statistics
from opclock.profiles.damage import SYMPTOMS
from opclock.profiles.reader import ProfileReader
from opclock.tracing import mac_counters, macs, op_call, operator_classes, products

# The code that decides what is learnt: where it changed, what was kept is outdated.
CODE = (arithmetic, training, forest, gaussian_process, class_model, features, surroundings, convolution_backend,
        ceilings_code, disturbance, machine_state, statistics, state_change, macs, mac_counters, products,
        operator_classes, op_call)  # fmt: skip


def version_of(profile: ProfileReader, device: str, threads: int, ceilings: Ceilings) -> str:
    """Name what would be learnt now: 16 hexadecimal digits of the code, the pools and the ceilings.

    The rounds of an ended pool never change, and its number is never used again.
    """
    code, pools = predictor_table.code_of(*CODE), training_pools(profile, threads, device)
    return hashlib.sha256(json_text([code, pools, ceilings.to_json()]).encode()).hexdigest()[:16]


class KeptModels:
    """The class models that a profile keeps, each read when it is first used."""

    def __init__(self, profile: ProfileReader, device: str, threads: int, version: str) -> None:
        self._profile, self._device, self._threads = profile, device, threads
        self.names = predictor_table.kept_kinds(profile, device, threads, version)
        self._models: dict[str, ClassModel] = {}

    def model(self, name: str) -> ClassModel:
        """The model of one of ``names``. Raises ProfileError where it is damaged."""
        if name not in self._models:
            facts, arrays = predictor_table.kept(self._profile, self._device, self._threads, name)
            try:
                self._models[name] = ClassModel.of(json.loads(facts), arrays)
            except SYMPTOMS as error:
                raise ProfileError(
                    f"the profile {self._profile.path} is damaged (predictor): restore a copy, or remove what was "
                    f"learnt by 'opclock profile prune {self._profile.path}'"
                ) from error
        return self._models[name]


def keep(profile: ProfileReader, device: str, threads: int, version: str, trained: Training) -> None:
    """Keep what was learnt, if the profile's file can be written. All that can be learnt is learnt first."""
    if predictor_table.can_keep(profile):
        models = {name: trained.model(name) for name in trained.names}
        predictor_table.keep(profile, device, threads, version, [
            (name, json_text(one.facts(), sort_keys=True), one.regressor.to_bytes()) for name, one in models.items()
        ])  # fmt: skip
