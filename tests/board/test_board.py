"""Boards known by their files: the trees in tests/boards follow public documentation and postings of those files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from opclock.board import state as board_state
from opclock.board.cores import Cluster, emulator, parse_ranges, ranges, read_clusters
from opclock.board.identity import Board, read_board
from opclock.board.state import parse_throttled, read_state, team_flags
from opclock.errors import OptionError

BOARDS = Path(__file__).parents[1] / "boards"


def recorded(name: str, root: Path) -> Path:
    """The file tree of a board, laid out below root."""
    for part in (BOARDS / f"{name}.txt").read_text().split("=== ")[1:]:
        path, _, content = part.partition("\n")
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content.rstrip("\n") + "\n")
    return root


def test_throttled_bits_in_words():
    assert parse_throttled("throttled=0x0\n") == ()
    assert parse_throttled("throttled=0x50005\n") == (
        "under-voltage", "throttled", "under-voltage has occurred", "throttling has occurred"
    )  # fmt: skip
    assert parse_throttled("VCHI initialization failed") == ()


@pytest.mark.parametrize(("name", "machine", "model", "clusters"), [
    ("raspberry-pi-4", "aarch64", "Raspberry Pi 4 Model B Rev 1.4", ["4 Cortex-A72 at 1.80 GHz (cores 0-3)"]),
    ("raspberry-pi-5", "aarch64", "Raspberry Pi 5 Model B Rev 1.0", ["4 Cortex-A76 at 2.40 GHz (cores 0-3)"]),
    ("jetson-nano", "aarch64", "NVIDIA Jetson Nano Developer Kit", ["2 Cortex-A57 at 0.92 GHz (cores 0-1)"]),
    ("jetson-agx-orin", "aarch64", "NVIDIA Jetson AGX Orin Developer Kit",
     [f"4 Cortex-A78AE at 2.20 GHz (cores {cores})" for cores in ("0-3", "4-7", "8-11")]),
    ("rk3588", "aarch64", "Radxa ROCK 5 Model B", ["4 Cortex-A55 at 1.80 GHz (cores 0-3)",
     "2 Cortex-A76 at 2.40 GHz (cores 4-5)", "2 Cortex-A76 at 2.40 GHz (cores 6-7)"]),
    ("virtual-machine", "x86_64", "AMD EPYC", ["2 AMD EPYC (cores 0-1)"]),
])  # fmt: skip
def test_what_a_board_is(name, machine, model, clusters, tmp_path):
    board = read_board(recorded(name, tmp_path), machine)
    assert board.model == model
    assert [str(cluster) for cluster in board.clusters] == clusters
    assert board.cores == sum(len(cluster.cores) for cluster in board.clusters)
    assert not board.emulator
    assert Board.from_json(board.to_json()) == board
    assert f"{model}, {machine}, {board.cores} cores, torch" in board.identity


def test_caches_are_a_cluster_s_own(tmp_path):
    small, large, _ = read_clusters(recorded("rk3588", tmp_path))
    assert small.caches == ("L1 data 32K", "L1 instruction 32K", "L2 unified 128K", "L3 unified 3072K")
    assert large.caches == ("L1 data 64K", "L1 instruction 64K", "L2 unified 512K", "L3 unified 3072K")


def test_a_hot_raspberry_pi(tmp_path):
    state = read_state(recorded("raspberry-pi-4", tmp_path))
    assert state.governors == {"0-3": "ondemand"}
    assert state.frequencies_hz == (600_000_000,) * 4
    assert state.temperature_c == 82.277
    assert state.throttle == ("temperature limit", "frequency cap has occurred", "throttling has occurred",
                              "temperature limit has occurred")  # fmt: skip
    assert state.throttled


def test_a_fan_that_runs_slows_nothing(tmp_path):
    state = read_state(recorded("raspberry-pi-5", tmp_path))
    assert state.throttle == ()
    assert not state.throttled


def test_what_has_been_is_not_now(tmp_path):
    root = recorded("raspberry-pi-4", tmp_path)
    (root / "sys/devices/platform/soc/soc:firmware/get_throttled").write_text("e0000\n")
    state = read_state(root)
    assert len(state.throttle) == 3
    assert not state.throttled


def test_a_jetson_nano_s_mode_and_its_constant_zone(tmp_path):
    state = read_state(recorded("jetson-nano", tmp_path))
    assert state.power_mode == "5W"
    assert state.temperatures_c["PMIC-Die"] == 100.0
    assert state.temperature_c == 42.0
    assert state.devices_hz == {"57000000.gpu": 76_800_000}
    assert state.governors == {"0-3": "schedutil"}
    assert not state.throttled


def test_an_orin_whose_gpu_sleeps(tmp_path):
    state = read_state(recorded("jetson-agx-orin", tmp_path))
    assert state.power_mode == "MAXN"
    assert state.temperature_c == 51.5
    assert "gpu-thermal" not in state.temperatures_c
    assert not state.throttled


def test_a_cluster_that_is_slowed_to_cool(tmp_path):
    state = read_state(recorded("rk3588", tmp_path))
    assert state.governors == {"0-3": "schedutil", "4-5": "performance", "6-7": "schedutil"}
    assert state.throttle == ("slowed to cool: thermal-cpufreq-1 3 of 9",)
    assert state.throttled
    assert state.devices_hz["dmc"] == 2_112_000_000


def test_a_board_that_says_nothing(tmp_path):
    state = read_state(tmp_path)
    assert state.governors == {}
    assert state.temperature_c is None
    assert read_board(tmp_path).cpu_parts == ()


def test_unknown_cores_are_named_by_their_ids(tmp_path):
    root = recorded("raspberry-pi-4", tmp_path)
    info = root / "proc/cpuinfo"
    info.write_text(info.read_text().replace("0xd08", "0xfff"))
    assert read_board(root, "aarch64").cpu_parts == ("implementer 0x41 part 0xfff",)


def test_pinned_profiles_are_another_board_where_cores_differ(tmp_path):
    board = read_board(recorded("rk3588", tmp_path), "aarch64")
    large, small = (replace(board, allowed=allowed) for allowed in ((4, 5, 6, 7), (0, 1, 2, 3)))
    assert "4 of 8 cores (4 Cortex-A76)" in large.identity
    assert "4 of 8 cores (4 Cortex-A55)" in small.identity
    assert "5 of 8 cores (1 Cortex-A55 + 4 Cortex-A76)" in replace(board, allowed=(3, 4, 5, 6, 7)).identity
    assert replace(board, allowed=tuple(range(8))).identity == board.identity


def test_cores_that_are_alike_are_only_counted(tmp_path):
    board = read_board(recorded("jetson-agx-orin", tmp_path), "aarch64")
    assert replace(board, allowed=(0, 1)).identity == replace(board, allowed=(8, 9)).identity
    assert "2 of 12 cores, torch" in replace(board, allowed=(0, 1)).identity


def test_emulation_is_detected(tmp_path):
    root = recorded("virtual-machine", tmp_path)
    assert emulator("aarch64", root) == "QEMU"  # an Arm process that sees an AMD processor
    assert emulator("x86_64", root) == ""
    info = root / "proc/cpuinfo"
    info.write_text(info.read_text().replace("AMD EPYC", "VirtualApple @ 2.50GHz"))
    assert emulator("x86_64", root) == "Rosetta"
    info.write_text("processor\t: 0\nCPU implementer\t: 0x00\nCPU part\t: 0x051\n")
    assert emulator("aarch64", root) == "QEMU"
    board = read_board(root, "aarch64")
    assert "aarch64, emulated by QEMU" in board.model + ", " + board.identity


CLUSTERS = (
    Cluster("Cortex-A55", (0, 1, 2, 3), 10**9, ()), Cluster("Cortex-A76", (4, 5), 2 * 10**9, ()),
    Cluster("Cortex-A76", (6, 7), 2 * 10**9, ()),
)  # fmt: skip


@pytest.mark.parametrize(("cores", "threads", "flags"), [
    ((0, 1, 2, 3), 4, ()), ((3, 4), 2, ("unlike_cores",)), ((3, 4), 1, ()), ((4, 5, 6, 7), 4, ("spans_clusters",)),
])  # fmt: skip
def test_teams_over_clusters_are_reported(cores, threads, flags, monkeypatch):
    monkeypatch.setattr(board_state, "read_clusters", lambda: CLUSTERS)
    monkeypatch.setattr(board_state, "emulator", lambda machine: "")
    assert team_flags(cores, threads) == flags


def test_emulated_teams_are_marked(monkeypatch):
    monkeypatch.setattr(board_state, "emulator", lambda machine: "QEMU")
    assert team_flags((0,), 1) == ("emulated",)


def test_lists_of_cores():
    assert ranges([0, 1, 2, 6]) == "0-2,6"
    assert parse_ranges("0-2,6") == (0, 1, 2, 6)
    for text in ("", "4-", "7-4", "a"):
        with pytest.raises(OptionError, match="is not a list of cores"):
            parse_ranges(text)


def test_this_board():
    board = read_board()
    assert board.cores >= 1
    assert board.torch in board.identity
    assert board.clusters
