"""What a board runs in place of opclock: it answers at once, or misbehaves as it is told.

answer LEDGER [held]      notes its begin and its end in the ledger, and that it went on where it was ended before;
                          held: ends only once the ledger's folder has a file "go"
rounds NAME [FILE]        stores a pool of 20 rounds in its profile, one by one, and goes on where it was ended;
                          FILE: waits for it in the middle, and says so by a file "middle" with its process's number
crash | hang | raise | refuse | no
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from opclock.children.lifeline import end_with_parent


def _answer(ledger: Path, *, held: bool) -> None:
    def note(what: str) -> None:
        with ledger.open("a", encoding="utf-8") as file:
            file.write(f"{what} {Path.cwd().parent.name}\n")

    begun = Path("begun")
    note("on" if begun.exists() else "begin")
    begun.touch()
    while held and not ledger.with_name("go").exists():
        time.sleep(0.02)
    note("end")
    result = {"schema": "made up/1", "cores": sorted(os.sched_getaffinity(0)), "words": sys.argv[2:]}
    Path("result.json").write_text(json.dumps(result), encoding="utf-8")
    print("answered")


def _rounds(name: str, go: str = "") -> None:
    """As a measurement does it: every round is on disk at once, and an interrupted pool goes on."""
    import numpy as np

    from opclock.board.identity import Board
    from opclock.profiles.condition import Condition
    from opclock.profiles.profile import Profile

    board = Board("x86_64", "a board", (), 1, (), 1 << 30, "", "", "2.13.0", "0", "")
    condition = Condition("interleaved", "cpu", 1, 20)
    with Profile.create_or_open("profile.sqlite", board) as profile:
        pool = profile.resume_pool(condition, name)
        if pool is None:
            pool = profile.start_pool(condition, [name], [1], signature=name)
        begun = profile.ask("SELECT count(*) FROM round WHERE pool = ?", pool)[0][0]
        for number in range(begun, 20):
            profile.add_rounds(pool, np.full((1, 1), number * 1e-6), np.ones(1), None)
            time.sleep(0.03)
            if go and number == 9:
                Path("middle").write_text(str(os.getpid()), encoding="utf-8")
                while not Path(go).exists():
                    time.sleep(0.02)
        profile.end_pool(pool, "settled", ["narrow"], {})
    Path("result.json").write_text(json.dumps({"schema": "made up/1", "earlier_rounds": begun}), encoding="utf-8")


def main() -> int:
    """Do what the words say."""
    end_with_parent(int(sys.argv[1]))
    verb, *words = sys.argv[2:]
    if verb == "answer":
        _answer(Path(words[0]), held="held" in words)
    elif verb == "rounds":
        _rounds(*words)
    elif verb == "hang":
        sys.stderr.write("round 1\n")
        sys.stderr.flush()
        time.sleep(600)
    elif verb == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif verb == "raise":
        raise RuntimeError("nobody expected this")
    elif verb == "refuse" or "zoo:wrong" in words:
        sys.stderr.write("opclock: no model 'x'\n")
        return 2
    elif verb == "no":
        return 1
    else:  # a real command line, such as measure
        Path("result.json").write_text(json.dumps({"schema": "made up/1", "words": sys.argv[2:]}), encoding="utf-8")
        files = sorted(str(path) for path in Path("files").rglob("*") if path.is_file())
        print(f"files: {' '.join(files)}")
        if "--plot" in sys.argv:
            Path(sys.argv[sys.argv.index("--plot") + 1]).write_text("a plot", encoding="utf-8")
        made = os.environ.get("MADE_UP_PROFILE")
        if made:
            Path("profile.sqlite").write_bytes(Path(made).read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
