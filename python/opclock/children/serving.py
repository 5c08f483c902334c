"""The child's side of the requests: JSON objects, one a line. What else is printed goes to standard error."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from opclock.children.lifeline import end_with_parent
from opclock.errors import ModelError, OpclockError, described, raised

Handler = Callable[[dict[str, Any]], dict[str, Any]]


def serve(handlers: Mapping[str, Handler]) -> NoReturn:
    """Serve requests until there are no more, or the parent ends: this process is then killed.

    Args:
        handlers: by the name of a request. Each takes the request and returns the answer. What it raises becomes one
            line for the parent.
    """
    end_with_parent(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        channel.write(json.dumps(_answer(handlers, json.loads(requests.get()))) + "\n")
        channel.flush()


def _answer(handlers: Mapping[str, Handler], request: dict[str, Any]) -> dict[str, Any]:
    try:
        return handlers[request["do"]](request)
    except OpclockError as error:  # the user's mistake, in words of its own
        return {"error": str(error), "refusal": type(error).__name__}
    except SystemExit as error:
        return {"error": f"the model {raised(error)}", "refusal": ModelError.__name__}
    except Exception as error:
        return {"error": described(error)}


def _listen(requests: queue.SimpleQueue[str]) -> None:
    """Pass requests on. When the parent ends, kill the whole process group at once."""
    for line in sys.stdin:
        requests.put(line)
    os.killpg(0, signal.SIGKILL)
