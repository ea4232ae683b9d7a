"""The measurements of a config's training step: in the loop, and shared by devices."""

import pytest
from small import write

from seqmodels.cli import main


@pytest.fixture
def arguments(tmp_path):
    return write(tmp_path)


def test_what_the_loop_costs(arguments, tmp_path, capsys):
    assert main(["benchmark", "loop", *arguments, "--rounds", "1", "--steps", "2"]) == 0
    output = capsys.readouterr().out
    parts = ("bare step", "whole loop", "throughput of the loop: ", "a row of metrics", "a checkpoint", "a validation")
    assert [line.startswith(part) for line, part in zip(output.splitlines(), parts, strict=True)] == [True] * 6
    assert "1 pairs" in output
    assert not (tmp_path / "runs").exists()


def test_what_devices_gain(arguments, capsys):
    assert main(["benchmark", "devices", *arguments, "--rounds", "1"]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header == "| Devices | ms a step, median (quartiles) | times faster |"
    assert [(row.split(" | ")[0], row.split(" | ")[2]) for row in rows] == [("| 1", "1.00 |")]
