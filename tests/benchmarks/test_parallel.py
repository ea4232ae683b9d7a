"""The measurement of engines that do all steps at once."""

import json

import pytest

from seqmodels.benchmarks import parallel
from seqmodels.cells import GRU, MinGRU
from seqmodels.cli import main


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(parallel, "LINEAR", ((MinGRU,), ("scan", "associative"), ((1, 2),), (4,)))
    monkeypatch.setattr(parallel, "NONLINEAR", ((GRU,), ("fused", *parallel.NEWTON), ((2, 3),), (5,)))
    monkeypatch.setattr(parallel, "TRAINED", (0, 2))


def test_the_command(small, tmp_path, capsys):
    found = tmp_path / "found.json"
    assert main(["benchmark", "parallel", "--rounds", "2", "--json", str(found)]) == 0
    assert "| GRU | 2, 3 | 5 | newton |" in capsys.readouterr().out
    samples = json.loads(found.read_text())
    engines = [point["engine"] for point in samples["parallel"]]
    assert engines == ["scan", "associative", "fused", "newton", "newton, diagonal"]
    assert all(point["converged"] is (None if point["turns"] is None else True) for point in samples["parallel"])
    assert [trial["steps"] for trial in samples["trained"]] == [0] * 4 + [2] * 4
    assert samples["trained"][-1]["nats"] > 3.0  # two steps teach nothing yet


def test_turns_that_failed_are_told():
    point = parallel.Point("GRU", 1, 2, 3000, "newton", 0.001, 0.5, turns=32, converged=False)
    assert parallel.rows([point])[2] == "| GRU | 1, 2 | 3,000 | newton | 1.00 | 0.50 | 32, not converged |"
