from __future__ import annotations

from pathlib import Path

from opclock.board import parse_throttled, read_board, read_state


def test_throttled_bits_in_words():
    assert parse_throttled("throttled=0x0\n") == ()
    assert parse_throttled("throttled=0x50005\n") == (
        "under-voltage", "throttled", "under-voltage has occurred", "throttling has occurred"
    )  # fmt: skip
    assert parse_throttled("VCHI initialization failed") == ()


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_an_arm_board_is_told_by_its_files(tmp_path):
    root = tree(tmp_path, {
        "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n"
                        "CPU part\t: 0xd08\nCPU revision\t: 3\n",
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "sys/devices/system/cpu/cpu0/cache/index0/level": "1\n",
        "sys/devices/system/cpu/cpu0/cache/index0/type": "Data\n",
        "sys/devices/system/cpu/cpu0/cache/index0/size": "32K\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
        "sys/class/thermal/thermal_zone0/temp": "61342\n",
    })  # fmt: skip
    board, state = read_board(root), read_state(root)
    assert board.model == "Raspberry Pi 4 Model B Rev 1.4"
    assert board.cpu_parts == ("implementer 0x41 part 0xd08",)
    assert board.caches == ("L1 data 32K",)
    assert state.governors == ("ondemand",)
    assert state.frequencies_hz == (1_500_000_000,)
    assert state.temperature_c == 61.342


def test_a_board_that_says_nothing(tmp_path):
    state = read_state(tmp_path)
    assert state.governors == ()
    assert state.temperature_c is None
    assert read_board(tmp_path).cpu_parts == ()


def test_this_board():
    board = read_board()
    assert board.cores >= 1
    assert board.torch in board.identity
