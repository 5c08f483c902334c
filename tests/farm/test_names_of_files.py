"""A board's words name files as the user does."""

from __future__ import annotations

import pytest

pytest.importorskip("distributed")

from opclock.cli.shipping import Shipment


def test_a_board_s_error_names_the_file_that_the_user_named(tmp_path, monkeypatch):
    """It named the place in the job's folder: files/0/work/net.py:boom."""
    for name in ("work/net.py", "work/layers.py", "weights.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / "work")
    shipped = Shipment()
    assert shipped.take("net.py:boom") == "files/0/work/net.py:boom"
    assert shipped.take("../weights.pt") == "files/1/weights.pt"
    assert shipped.as_given("no files/0/work/net.py:boom: RuntimeError", "a") == "no net.py:boom: RuntimeError"
    assert (
        shipped.as_given('File "/home/pi/.cache/job/files/0/work/layers.py", line 3', "a") == 'File "layers.py", line 3'
    )
    assert shipped.as_given("files/1/weights.pt is none; files/0/work", "a") == "../weights.pt is none; ."
    monkeypatch.chdir(tmp_path)
    shipped = Shipment()
    there = shipped.take("work/net.py:boom")
    assert shipped.as_given(there, "a") == "work/net.py:boom"
    shipped.outputs["out/plot.png"] = tmp_path / "curve.png"
    assert shipped.as_given("written to out/plot.png", "a") == f"written to {tmp_path / 'curve-a.png'}"
