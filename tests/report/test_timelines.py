"""Timelines follow the published Trace Event Format, and show what an estimate says."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import BOARD, SMALL, chain, filled, opclock, validation_row

from opclock.estimation.estimate import estimate
from opclock.estimation.host_costs import host_key, host_kinds
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.report.timelines import of_estimate, of_trace, of_validation
from opclock.validation.attribution import Explanation
from opclock.validation.results import Validation
from opclock.version import VERSION

GOLDEN = Path(__file__).with_name("golden") / "timeline.json"
METADATA = {"process_name": "name", "process_sort_index": "sort_index", "thread_name": "name",
            "thread_sort_index": "sort_index"}  # fmt: skip
NAMED = {"conv2d": "features.0", "relu": "features.1", "tanh": "head"}


def check_format(document):
    """Raise AssertionError where a document breaks a rule of "Trace Event Format" that its events are subject to."""
    assert document["displayTimeUnit"] in ("ms", "ns")
    stacks, reached, arrows = {}, {}, Counter()
    for event in document["traceEvents"]:
        phase, place = event["ph"], (event["pid"], event["tid"])
        assert all(type(number) is int for number in place)
        assert isinstance(event["name"], str)
        assert phase in ("M", "B", "E", "s", "f"), f"unknown phase {phase}"
        if phase == "M":
            assert METADATA[event["name"]] in event["args"]
            continue
        assert type(event["ts"]) is float
        assert event["ts"] >= reached.get(place, 0.0), "times of a lane never go back"
        reached[place] = event["ts"]
        stack = stacks.setdefault(place, [])
        if phase == "E":
            assert stack, "an end without a beginning"
            assert stack.pop() == event["name"], "slices overlap"
            continue
        assert isinstance(event["cat"], str)
        if phase == "B":
            assert isinstance(event.get("args", {}), dict)
            stack.append(event["name"])
        else:
            assert stack, "an arrow outside of a slice"
            assert phase == "s" or event["bp"] == "e"
            arrows[event["id"]] += 1 if phase == "s" else -1
    assert not any(stacks.values()), "a beginning without an end"
    assert not any(arrows.values()), "an arrow with one end"
    json.dumps(document, allow_nan=False)


def slices(document):
    """By lane: [name, begin and duration in µs, args] of each slice in the order they begin."""
    found, stacks = {}, {}
    names = {(event["pid"], event["tid"]): event["args"]["name"] for event in document["traceEvents"]
             if event["name"] == "thread_name"}  # fmt: skip
    for event in document["traceEvents"]:
        place = (event["pid"], event["tid"])
        if event["ph"] == "B":
            stacks.setdefault(place, []).append([event["name"], event["ts"], None, event.get("args", {})])
            found.setdefault(names[place], []).append(stacks[place][-1])
        elif event["ph"] == "E":
            one = stacks[place].pop()
            one[2] = round(event["ts"] - one[1], 3)
    return found


def rounded(text):
    """JSON data without the last digits of numbers, in which machines differ."""
    return json.loads(text, parse_float=lambda number: round(float(number), 12))


def model():
    """Three op calls, two of them in one module."""
    trace = chain("conv2d", "relu", "tanh", model="small")
    return replace(trace, calls=tuple(replace(call, module=NAMED[call.call.name]) for call in trace.calls))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "p.sqlite"


@pytest.fixture
def estimated(path):
    filled(path, model(), {"conv2d": 5e-6, "relu": 2e-6, "tanh": 3e-6}, host_s=1e-6)
    with Profile.open(path) as profile:
        return estimate(model(), profile, threads=2)


def test_host_and_kernels_take_turns_in_their_modules(estimated):
    document = of_estimate(estimated).to_json()
    check_format(document)
    (lane,) = slices(document).values()
    assert [one[:3] for one in lane] == [
        ["small", 0.0, 14.0],
        ["features", 0.0, 9.0],
        ["0", 0.0, 6.0],
        ["host", 0.0, 1.0],
        ["aten::conv2d", 1.0, 5.0],
        ["1", 6.0, 3.0],
        ["host", 6.0, 1.0],
        ["aten::relu", 7.0, 2.0],
        ["head", 9.0, 4.0],
        ["host", 9.0, 1.0],
        ["aten::tanh", 10.0, 3.0],
        ["host", 13.0, 1.0],
    ]
    details = next(one[3] for one in lane if one[0] == "aten::conv2d")
    assert details == {
        "op_call": "aten::conv2d(float32[1x4x8x8], float32[4x4x1x1])", "operator_class": "convolution", "macs": 1024,
        "kernel_s": pytest.approx(5e-6), "kernel_low_s": pytest.approx(5e-6), "kernel_high_s": pytest.approx(5e-6),
        "source": "measured", "validity": "valid",
    }  # fmt: skip


def test_an_op_call_without_a_time_is_shown_as_unknown(path):
    filled(path, model(), {"conv2d": 5e-6, "tanh": 3e-6})
    with Profile.open(path) as profile:
        document = of_estimate(estimate(model(), profile, threads=2)).to_json()
    check_format(document)
    (lane,) = slices(document).values()
    relu = next(one for one in lane if one[0] == "aten::relu")
    assert relu[2] == 0
    assert (relu[3]["source"], relu[3]["validity"]) == ("unknown", "incomplete")
    assert "kernel_s" not in relu[3]


def on_device(path, trace, host_s, enqueue_s, device_s, waits=()):
    """A profile of a device beside the host."""
    keys = [traced.call.key for traced in trace.calls]
    with Profile.create_or_open(path, BOARD) as profile:
        for timing, seconds in (("in_model", enqueue_s), ("device", device_s)):
            condition = Condition.of(timing, "cpu", 2, trace.working_set)
            played = timing == "in_model"
            pool = profile.start_pool(
                condition, keys, [1] * len(keys), signature=timing, calls=trace.calls,
                host=(host_key(trace), host_kinds(trace)) if played else None,
                context={} if played else {"waits": [keys[position] for position in waits]},
            )  # fmt: skip
            rows = np.tile(np.array(seconds, dtype=float), (20, 1))
            host = np.full((20, len(keys) + 1), host_s) if played else None
            profile.add_rounds(pool, rows, np.ones(20), host)
            profile.end_pool(pool, "settled", ["narrow"] * len(keys), {})
    with Profile.open(path) as profile:
        return estimate(trace, profile, threads=2)


def test_a_device_has_a_lane_of_its_own(path):
    done = on_device(path, model(), 1e-6, [1e-6] * 3, [5e-6, 0.0, 3e-6], waits=(2,))
    document = of_estimate(done).to_json()
    check_format(document)
    host, device = slices(document).values()
    assert [one[:3] for one in device] == [
        ["small", 2.0, 8.0],
        ["features", 2.0, 5.0],
        ["0", 2.0, 5.0],
        ["aten::conv2d", 2.0, 5.0],
        ["head", 7.0, 3.0],
        ["aten::tanh", 7.0, 3.0],
    ]
    assert ["waits for the device", 6.0, 4.0] in [one[:3] for one in host]
    assert host[0][:3] == ["small", 0.0, pytest.approx(done.total_s * 1e6)]
    assert sum(event["ph"] == "s" for event in document["traceEvents"]) == 2
    assert device[3][3]["device_s"] == pytest.approx(5e-6)


def test_the_observed_inference_is_above_the_estimate():
    row = validation_row("small", 8, 1e-3, 1.1e-3)
    observed = Explanation(row.trace, row.estimate, 1e-3, np.full((5, 2), 3e-4), np.full((5, 2), 3e-4),
                           np.full((5, 3), 1e-4))  # fmt: skip
    rows = (replace(row, explanation=observed), validation_row("other", 8, 2e-3, 2e-3))
    document = of_validation(Validation(BOARD.to_json(), rows)).to_json()
    check_format(document)
    lanes = [(event["pid"], event["args"]["name"].partition(":")[0]) for event in document["traceEvents"]
             if event["name"] == "thread_name"]  # fmt: skip
    assert lanes == [(1, "measured"), (1, "observed"), (1, "estimated"), (2, "measured"), (2, "estimated")]
    _, seen, *_ = slices(document).values()
    assert [one[:3] for one in seen if one[0].startswith("aten")] == [
        ["aten::linear", 100.0, 300.0],
        ["aten::relu", 500.0, 300.0],
    ]


def test_a_trace_has_only_the_order():
    document = of_trace(model()).to_json()
    check_format(document)
    ((name, lane),) = slices(document).items()
    assert "no time was measured" in name
    assert [one[:3] for one in lane if one[0].startswith("aten")] == [
        ["aten::conv2d", 0.0, 1.0],
        ["aten::relu", 1.0, 1.0],
        ["aten::tanh", 2.0, 1.0],
    ]


def test_the_file_is_golden(path, estimated, tmp_path):
    """Other programs read it: a change of the format must be a decision."""
    trace_file, timeline = tmp_path / "small.json", tmp_path / "timeline.json"
    model().save(trace_file)
    done = opclock("estimate", trace_file, "--profile", path, "--timeline", timeline)
    assert done.returncode == 0, done.stderr
    written = timeline.read_text().replace(f'"opclock": "{VERSION}"', '"opclock": "VERSION"')
    check_format(json.loads(written))
    assert rounded(written) == rounded(GOLDEN.read_text())


def test_the_timeline_of_a_real_trace(tmp_path):
    timeline = tmp_path / "timeline.json"
    done = opclock("trace", SMALL, "--timeline", timeline)
    assert done.returncode == 0, done.stderr
    document = json.loads(timeline.read_text())
    check_format(document)
    (lane,) = slices(document).values()
    assert any(one[0] == "aten::conv2d" and "float32[" in one[3]["op_call"] for one in lane)


@pytest.mark.parametrize("name", ["no-folder/t.json", "timeline.txt"])
def test_a_timeline_that_cannot_be_written_is_refused_before_any_work(name, tmp_path):
    done = opclock("estimate", "not a model", "--timeline", tmp_path / name)
    assert done.returncode == 2
    assert "timeline" in done.stderr
    assert "not a model" not in done.stderr


def test_two_outputs_are_two_files(tmp_path):
    """The second would replace the first, although neither is there when the command begins."""
    target = tmp_path / "both.json"
    done = opclock("estimate", "not a model", "--timeline", target, "--json", target)
    assert done.returncode == 2
    assert "twice" in done.stderr


@pytest.mark.parametrize("broken", [
    {"ph": "B", "ts": 0.0, "pid": 1, "tid": 1, "name": "back in time", "cat": "kernel"},
    {"ph": "B", "ts": 14.0, "pid": 1, "tid": 1, "name": "never ends", "cat": "kernel"},
    {"ph": "E", "ts": 14.0, "pid": 1, "tid": 1, "name": "never began"},
    {"ph": "Q", "ts": 14.0, "pid": 1, "tid": 1, "name": "phase", "cat": "kernel"},
    {"ph": "s", "ts": 14.0, "pid": 1, "tid": 1, "name": "arrow", "cat": "arrow", "id": 1},
])  # fmt: skip
def test_the_check_finds_broken_documents(broken, estimated):
    document = of_estimate(estimated).to_json()
    document["traceEvents"].append(broken)
    with pytest.raises(AssertionError):
        check_format(document)
