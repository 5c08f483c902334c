"""The models that are ranked: traces in a folder, a generator's factories, or a factory with a grid of arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from opclock.errors import ModelError, OptionError, model_errors
from opclock.ranking.grid import combinations, name_of
from opclock.tracing.trace import Trace


@dataclass(frozen=True)
class Specification:
    """What the user named, so that another process finds the same candidates."""

    text: str
    grid: str | None = None
    input_text: str | None = None


class Candidates(Protocol):
    """Numbered models. Use them in a ``with`` block: code of the user may run inside it."""

    @property
    def names(self) -> Sequence[str]:
        """One for each candidate."""

    def trace(self, number: int) -> Trace:
        """Load or record one model's trace. Raises OpclockError where that is not possible."""

    def state(self, number: int) -> str:
        """A text that changes where the file changes from which the candidate comes."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_exception: object) -> None: ...


def candidates_of(specification: Specification) -> Candidates:
    """The candidates that the user named.

    Raises:
        OptionError: the options do not fit what was named.
        ModelError: there is no such folder, file or function, or the generator yields something else.
    """
    if Path(specification.text).is_dir():
        if specification.grid is not None or specification.input_text is not None:
            raise OptionError(f"--grid and --input are for factories; {specification.text} is a folder of traces")
        return TraceFolder(Path(specification.text))
    return Factories(specification)


class TraceFolder:
    """The files with traces in a folder, by name."""

    def __init__(self, folder: Path) -> None:
        self._paths = sorted(folder.glob("*.json"))
        if not self._paths:
            raise ModelError(
                f"{folder} holds no trace: write some with 'opclock trace MODEL --json {folder}/NAME.json'"
            )
        self.names = [path.stem for path in self._paths]

    def trace(self, number: int) -> Trace:
        """Read one file."""
        return Trace.load(self._paths[number])

    def state(self, number: int) -> str:
        """Its size and when it was changed."""
        status = self._paths[number].stat()
        return f"{status.st_size} {status.st_mtime_ns}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        pass


class Factories:
    """The factories that a generator yields, or one factory with each combination of a grid's values."""

    def __init__(self, specification: Specification) -> None:
        from opclock.models.factories import factory_of

        self._specification = specification
        self._stack = ExitStack()
        text = specification.text
        place, _, name = text.rpartition(":")
        if not place or not name:
            raise ModelError(f"no candidates {text!r}: name a folder of traces, FILE.py:GENERATOR, or FILE.py:FACTORY "
                             "with --grid")  # fmt: skip
        function = self._stack.enter_context(factory_of(text, place, name))
        try:
            self._made = _combined(function, specification.grid) if specification.grid else _yielded(function, text)
        except BaseException:
            self._stack.close()
            raise
        self.names = [name for name, _ in self._made]
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ModelError(f"{text} names two candidates {twice!r}: yield (NAME, FACTORY) with a name for each")
        source = Path(place)
        self._state = hashlib.sha256(source.read_bytes()).hexdigest()[:16] if source.is_file() else place

    def trace(self, number: int) -> Trace:
        """Build one model and trace it with fake tensors: it is not run."""
        from opclock.models.loading import load_made
        from opclock.tracing.recorder import trace

        name, factory = self._made[number]
        model = load_made(name, factory, input_text=self._specification.input_text)
        return trace(model.module, model.inputs, name=name, real=False, reset=model.reset)

    def state(self, _number: int) -> str:
        """A digest of the file that holds the function, and the inputs."""
        return f"{self._state} {self._specification.input_text}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()


Named = list[tuple[str, Callable[[], Any]]]


def _combined(factory: Callable[..., Any], grid: str) -> Named:
    def made(arguments: dict[str, Any]) -> Callable[[], Any]:
        return lambda: factory(**arguments)

    return [(name_of(arguments), made(arguments)) for arguments in combinations(grid)]


def _yielded(generator: Callable[..., Any], text: str) -> Named:
    with model_errors(f"the generator {text}"):
        items = generator()
        found = list(items) if isinstance(items, Iterator | list) else None  # a tuple is a module with its inputs
    if not found:
        raise ModelError(f"{text} yields no factory: it must yield functions without arguments, or (NAME, FUNCTION); "
                         "for one factory with arguments give --grid")  # fmt: skip
    return [_named(number, item, text) for number, item in enumerate(found)]


def _named(number: int, item: Any, text: str) -> tuple[str, Callable[[], Any]]:  # noqa: ANN401
    name, factory = item if isinstance(item, tuple) and len(item) == 2 else (None, item)
    if not callable(factory) or not isinstance(name, str | None):
        raise ModelError(f"{text} yields {type(item).__name__} as number {number}: yield a function without arguments "
                         "that returns a model, or (NAME, FUNCTION)")  # fmt: skip
    return name or f"{text.rpartition(':')[2]}[{number}]", factory
