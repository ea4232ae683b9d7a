"""The measurement of how time and memory grow with sizes."""

import json

from seqmodels.analysis.style import BLUE, GREY
from seqmodels.benchmarks import growth
from seqmodels.cli import main


def test_the_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(growth, "BASE", {"T": 2, "B": 1, "H": 2, "layers": 1})
    monkeypatch.setattr(growth, "GROWTH", {"T": (2, 3)})
    monkeypatch.setattr(growth, "RUNS", {("gru", "fused"): BLUE, ("rnn", "scan"): GREY})
    found, picture = tmp_path / "found.json", tmp_path / "growth.png"
    options = ["--rounds", "1", "--json", str(found), "--picture", str(picture)]
    assert main(["benchmark", "growth", *options]) == 0
    rows = [line.split(" | ")[:3] for line in capsys.readouterr().out.splitlines()[2:]]
    sizes = ("T = 2", "T = 3")
    assert rows == [[f"| {size}", *run] for size in sizes for run in (["gru", "fused"], ["rnn", "scan"])]
    points = json.loads(found.read_text())["growth"]
    assert all(point["median_s"] > 0.0 and point["temporary"] > 0 for point in points)
    assert picture.read_bytes().startswith(b"\x89PNG")
