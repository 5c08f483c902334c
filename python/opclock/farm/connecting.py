"""A connection to a scheduler of dask."""

from __future__ import annotations

import re
import socket
import ssl
import warnings
from collections.abc import Iterator

import dask
from distributed import Client
from distributed.comm.core import CommClosedError

from opclock.errors import FarmError
from opclock.farm.address import TLS_VARIABLE, Address
from opclock.farm.settings import quiet_logs

CONNECT_S = 10.0
OF_DASK = re.compile(r"(in )?<(TCP|TLS|Client|Scheduler|Worker)\b(->|[^>])*>(: )?")  # objects that dask's messages show
CLOSED = "it closed the connection"
EXPIRED = "has expired: make a new one, and copy it to all who take part"


def connect(address: Address, remedy: str) -> Client:
    """Connect.

    Args:
        address: the scheduler's.
        remedy: what the user can do where none answers.

    Raises:
        FarmError: none answers, or it refuses this machine.
    """
    quiet_logs()
    # dask does its best to warn of a graph that is large: here it is the model's files.
    warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
    dask.config.set({"distributed.client.scheduler-info-interval": "1h"})  # asked for when it is needed
    try:
        return Client(address.url, security=address.security, timeout=CONNECT_S, set_as_default=False, name="opclock")
    except (OSError, TimeoutError, RuntimeError, ValueError) as error:
        raise FarmError(
            f"no scheduler answers at {address.url} ({unanswered(address, error)}): {remedy}; if it has a certificate, "
            f"name its folder by ${TLS_VARIABLE}"
        ) from error


def unanswered(address: Address, error: BaseException) -> str:
    """Why a scheduler does not answer, in a user's words.

    Args:
        address: the scheduler's.
        error: of dask.
    """
    if refusal := refusal_of(address, error):
        return refusal
    causes = list(_causes(error))
    of_system = [one for one in causes if isinstance(one, OSError) and one.errno and one.strerror]
    closed = any(isinstance(one, ConnectionResetError | BrokenPipeError | CommClosedError) for one in causes)
    refused = any(isinstance(one, ConnectionRefusedError) for one in of_system)
    if closed and not refused and address.tls is None:
        return f"{CLOSED}; it may be encrypted: tls:// and {TLS_VARIABLE}"
    if of_system:
        return str(of_system[-1].strerror)
    return CLOSED if closed else f"no answer within {CONNECT_S:.0f} s"


def refusal_of(address: Address, error: BaseException) -> str:
    """Why a scheduler will not answer with this certificate, now or later; "" where that is not the reason."""
    causes = list(_causes(error))
    if address.tls is None or not any(isinstance(one, ssl.SSLError | ValueError) for one in causes):
        return ""
    if any("has expired" in str(one) for one in causes):
        return f"its certificate {EXPIRED}"
    plain = any(words in str(one) for one in causes for words in ("WRONG_VERSION_NUMBER", "IOStream is not idle"))
    return "it is not encrypted: tcp://" if plain else f"its certificate is not the one in {address.tls}"


def is_unknown(error: BaseException) -> bool:
    """Whether the scheduler's name is that of no machine."""
    return any(isinstance(one, socket.gaierror) and one.errno == socket.EAI_NONAME for one in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def reason_of(error: BaseException | None) -> str:
    """What an error says, in one line, without dask's objects."""
    text = " ".join(OF_DASK.sub("", str(error)).split()) or type(error).__name__
    return text if len(text) < 200 else f"{text[:200]} ..."
