"""A connection to a scheduler of dask."""

from __future__ import annotations

import warnings

import dask
from distributed import Client

from opclock.errors import FarmError
from opclock.farm.address import Address
from opclock.farm.settings import quiet_logs

CONNECT_S = 10.0


def connect(address: Address) -> Client:
    """Connect. Raises FarmError where no scheduler answers, or it refuses this machine."""
    quiet_logs()
    # dask does its best to warn of a graph that is large: here it is the model's files.
    warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
    dask.config.set({"distributed.client.scheduler-info-interval": "1h"})  # asked for when it is needed
    try:
        return Client(address.url, security=address.security, timeout=CONNECT_S, set_as_default=False, name="opclock")
    except (OSError, TimeoutError, RuntimeError) as error:
        raise FarmError(
            f"no scheduler answers at {address.url} ({reason_of(error)}): start one there ('opclock farm start' for "
            "boards, 'dask scheduler' for a cluster), and name its address, with a certificate its folder in "
            "OPCLOCK_FARM_TLS"
        ) from error


def reason_of(error: BaseException | None) -> str:
    """What an error says, in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 200 else f"{text[:200]} ..."
