"""Bad uses of the command line."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from benchmarks.fuzz.files import FACTORIES

TEXTS = ["", " ", "-", "--", "-1", "0", "1e9", "nan", "inf", "1x", "x", "1x1x1", ",", ",,", ":", "1:2:0", "5:1", "0x3",
         "9" * 30, "1x" + "9" * 20, "é", "\udc80", "a\nb", "%s", "{}", "../..", "/", "~", "true", "None", "0.5",
         "1,2,x", "zoo:", "zoo:mobilenet", "torchvision:nothing", "no.such:thing", "x" * 300, "\x1b[31m"]  # fmt: skip
VARIABLES = {"COLUMNS": ["0", "-5", "x", "100000"], "TERM": ["dumb", ""], "NO_COLOR": ["1"],
             "OMP_NUM_THREADS": ["0", "x", "-1"], "OMP_PROC_BIND": ["true", "nonsense"], "OMP_PLACES": ["{0}", "x"],
             "GOMP_CPU_AFFINITY": ["0", "x"], "PYTHONIOENCODING": ["ascii", "latin-1"], "LC_ALL": ["C", "xx"],
             "HOME": ["/nowhere", ""], "TMPDIR": ["/nowhere"], "PYTHONUTF8": ["0"]}  # fmt: skip
DEEP = {"trace": 25, "estimate": 20, "profile": 12, "compare": 12, "validate": 6, "measure": 6}  # verb: how often
# Time these verbs in earnest takes long: every use of them has one argument that is surely bad.
SLOW = {"sweep": ["--threads", "0"], "ceilings": ["--threads", "-1"], "crosscheck": ["--nonsense"],
        "study": ["--nonsense"], "batch": ["--share", "7"], "bench": ["--runtime", "no-such"]}  # fmt: skip


@dataclass
class Use:
    """One command, or one call of a public function, and what may change by it."""

    arguments: list[str]  # of the command line
    environment: dict[str, str] = field(default_factory=dict)
    may_write: set[str] = field(default_factory=set)
    call: str = ""  # Python source in place of a command

    def __str__(self) -> str:
        return self.call or f"opclock {' '.join(map(repr, self.arguments))} {self.environment or ''}"


def bad_command(seed: int, names: list[str]) -> Use:
    """The bad command of this seed, in a folder with files of these names."""
    draw = random.Random(seed)
    verb = draw.choices([*DEEP, *SLOW], [*DEEP.values(), *[3] * len(SLOW)])[0]
    makers = {"estimate": _estimate, "trace": _trace, "profile": _profile, "compare": _compare, "validate": _real,
              "measure": _real}  # fmt: skip
    use = makers[verb](draw, names, verb) if verb in DEEP else Use([verb, *_rest(verb, draw, names), *SLOW[verb]])
    if draw.random() < 0.25:
        name = draw.choice(sorted(VARIABLES))
        use.environment[name] = draw.choice(VARIABLES[name])
    return use


def _target(draw: random.Random, names: list[str]) -> str:
    bad = ["/nowhere/x", "/dev/full", "/dev/null", "/proc/x", "/sys/x", "folder", "circle", "dangling", "", ".",
           "a" * 300, "text.txt/x", "good.sqlite"]  # fmt: skip
    return draw.choice([*bad, *(name for name in names if name.endswith("sqlite") and name != "noise.sqlite")])


def _model(draw: random.Random, names: list[str]) -> str:
    if draw.random() < 0.7:
        return f"models.py:{draw.choice(FACTORIES)}"
    return draw.choice([f"models.py:{draw.choice([*TEXTS, 'value', 'X'])}", draw.choice(names), draw.choice(TEXTS),
                        f"{draw.choice(names)}:{draw.choice(FACTORIES)}"])  # fmt: skip


def _real(draw: random.Random, names: list[str], verb: str) -> Use:
    """A verb that runs the model or its op calls: with every model, and with a file that cannot be written."""
    target = ["--json", _target(draw, names)] if draw.random() < 0.5 else []
    profile = ["--profile", draw.choice([name for name in names if "good" not in name])]
    written = {profile[1]} if profile[1] in ("empty", "damaged.sqlite", "half.sqlite") else set()
    return Use([verb, _model(draw, names), "--threads", "1", *target, *(profile if draw.random() < 0.5 else [])],
               may_write=written)  # fmt: skip


def _options(draw: random.Random, allowed: dict[str, list[str]], most: int = 2) -> list[str]:
    chosen: list[str] = []
    for option in draw.sample(sorted(allowed), min(len(allowed), draw.randint(0, most))):
        chosen += [option, draw.choice([*allowed[option] * 3, *TEXTS])] if allowed[option] else [option]
    return chosen


FLAG: list[str] = []


def _estimate(draw: random.Random, names: list[str], verb: str) -> Use:
    options = {
        "--input": ["1x3", "2x3,2x3"],
        "--dtype": ["float16", "int8"],
        "--threads": ["1"],
        "--real": FLAG,
        "--measured-only": FLAG,
        "--depth": ["0"],
        "--profile": names,
        "--device": ["cuda", "meta", "cpu:1"],
    }
    json = ["--json", _target(draw, names)] if draw.random() < 0.4 else []
    return Use(
        [verb, draw.choice([_model(draw, names), "trace.json", *_jsons(names)]), *_options(draw, options), *json]
    )


def _trace(draw: random.Random, names: list[str], verb: str) -> Use:
    options = {"--input": ["1x3", "2x3,2x3"], "--dtype": ["float16", "int8"], "--real": FLAG,
               "--device": ["cuda", "meta", "tpu"]}  # fmt: skip
    json = ["--json", _target(draw, names)] if draw.random() < 0.5 else []
    return Use([verb, _model(draw, names), *_options(draw, options), *json])


def _jsons(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith(".json")]


def _profile(draw: random.Random, names: list[str], verb: str) -> Use:
    action = draw.choice(["info", "merge", "prune", "nothing"])
    profiles = [name for name in names if name.endswith(".sqlite")]
    files = [draw.choice([*profiles * 2, *names, *TEXTS]) for _ in range(draw.randint(0, 3))]
    # A merge may write its first file and a prune its only one, if it is a profile.
    return Use([verb, action, *files], may_write=set(files[:1]) if action in ("merge", "prune") else set())


def _compare(draw: random.Random, names: list[str], verb: str) -> Use:
    return Use([verb, *(draw.choice([*["good.sqlite"] * 9, *names, *TEXTS]) for _ in range(draw.randint(1, 3))),
                *(["--json", _target(draw, names)] if draw.random() < 0.5 else [])])  # fmt: skip


def _rest(verb: str, draw: random.Random, names: list[str]) -> list[str]:
    if verb == "sweep":
        family = draw.choice(["gemm", "conv2d", "norm", "no-such", *TEXTS])
        sizes = [f"--{name}" for name in draw.sample(["m", "n", "k", "size", "channels", "dtype"], 3)]
        return [family, *(part for size in sizes for part in (size, draw.choice(["1", "99999999", *TEXTS])))]
    if verb == "study":
        return [draw.choice(["landscape", "hidden-costs", *TEXTS])]
    if verb in ("ceilings", "crosscheck"):
        return draw.sample([*TEXTS, "--roofline", "--model", "--profile"], draw.randint(0, 2))
    return [_model(draw, names), *_options(draw, {"--input": ["1x3"], "--profile": names, "--real": FLAG})]
