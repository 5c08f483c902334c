"""Public architectures as a benchmark: traced with fake tensors and by a real run, compared, and played.

python -m benchmarks.corpus                    # every model; results are kept, and the same command goes on
python -m benchmarks.corpus --cut              # about 60 of them, under two minutes; exits with 1 where one is wrong
python -m benchmarks.corpus --validate         # a sample of 40: estimate against real inference, on a quiet machine
python -m benchmarks.corpus --name bart        # one model, examined again
python -m benchmarks.corpus --cluster tcp://HOST:8786    # on dask workers, started in the repository's folder
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.corpus import samples, tables
from benchmarks.corpus.children import FAILED, Named, Task, in_children
from benchmarks.corpus.examining import Row, examine
from benchmarks.corpus.kinds import KINDS
from benchmarks.corpus.server import examining
from benchmarks.corpus.validating import validate

Rows = dict[Named, Row]


def _kept(file: Path) -> Rows:
    """The rows of a file; the latest one of each model."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {(row["kind"], row["name"]): row for row in map(json.loads, lines)}


def _models(options: argparse.Namespace) -> list[Named]:
    if options.cut:
        return list(samples.CUT)
    if options.validate:
        return list(samples.VALIDATED)
    return [(kind, name) for kind in options.kind or KINDS for name in KINDS[kind].names()[:: options.every]]


def _run(task: Task, models: Sequence[Named], options: argparse.Namespace, file: Path) -> Rows:
    """Run the task for the models that the file has no row of."""
    rows = _kept(file)
    left = [model for model in models if options.name or model not in rows]
    limit_s = options.limit_s or (300 if options.validate else 120)
    ended = _on_cluster(left, options.cluster, limit_s) if options.cluster else _here(task, left, options, limit_s)
    for (kind, name), row in ended:
        rows[kind, name] = {"kind": kind, "name": name, **row}
        with file.open("a", encoding="utf-8") as kept:
            kept.write(json.dumps(rows[kind, name]) + "\n")
        print(f"{kind}:{name}: {tables.line(row)}", flush=True)
    return {model: rows[model] for model in models if model in rows}


def _here(
    task: Task, models: Sequence[Named], options: argparse.Namespace, limit_s: float
) -> Iterator[tuple[Named, Row]]:
    torch.set_num_threads(1)  # children are forked
    for kind in dict.fromkeys(kind for kind, _name in models):
        KINDS[kind].build(KINDS[kind].first)  # imports once what all children need
    jobs = 1 if options.validate else options.jobs
    yield from in_children(task, models, jobs=jobs, limit_s=limit_s, max_s=options.max_s)


def _on_cluster(models: Sequence[Named], url: str, limit_s: float) -> Iterator[tuple[Named, Row]]:
    from opclock.farm.address import Address
    from opclock.farm.cluster import Cluster

    with Cluster(Address.of(url)) as cluster:
        for model, row, reason in cluster.work(partial(examining, limit_s), {}, models):
            yield model, row or {"outcome": FAILED, "why": reason}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.corpus", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--cut", action="store_true", help="the models of samples.CUT; results are not kept")
    which.add_argument("--validate", action="store_true", help="validate those of samples.VALIDATED")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind")
    parser.add_argument("--name", action="append", help="only this model, even where there is a result")
    parser.add_argument("--every", type=int, default=1, help="only every so manieth model")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--limit-s", type=float, help="seconds for one model; 120, or 300 to validate it")
    parser.add_argument("--max-s", type=float, default=1e9, help="begin no model after so many seconds")
    parser.add_argument("--cluster", help="examine on the workers of this dask scheduler")
    parser.add_argument("--results", type=Path, help="keeps the rows; by default a file in build")
    options = parser.parse_args()
    if options.cluster and options.validate:
        parser.error("--validate times models: it needs a quiet machine, not a cluster")
    return options


def main() -> None:
    """Run what was asked for and print it."""
    options = _options()
    warnings.simplefilter("ignore")  # what model libraries say about their own code
    models = [model for model in _models(options) if not options.name or model[1] in options.name]
    name = "corpus-validated" if options.validate else "corpus-cut" if options.cut else "corpus"
    file = options.results or Path("build", f"{name}.jsonl")
    file.parent.mkdir(parents=True, exist_ok=True)
    if options.cut:
        file.unlink(missing_ok=True)
    rows = list(_run(validate if options.validate else examine, models, options, file).values())
    print(tables.of_validations(rows) if options.validate else tables.by_kind(rows))
    if options.cut and any(not tables.is_right(row) for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
