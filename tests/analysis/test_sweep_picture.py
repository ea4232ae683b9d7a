"""The picture of a sweep."""

from pathlib import Path

from matplotlib.colors import to_hex

from seqmodels.analysis.style import VERMILION
from seqmodels.analysis.sweep import figure
from seqmodels.sweeps.ranges import Range
from seqmodels.sweeps.tables import Sweep, SweepTable
from seqmodels.sweeps.trials import Trial

VALUES = (3.0, 2.0, 2.5)


def test_the_best_trial_has_its_colour_in_every_panel():
    space = {"run.seed": Range(low=1, high=9), "model.cell.name": Range(choices=("gru", "lstm"))}
    drawn = [{"run.seed": 2, "model.cell.name": "gru"}, {"run.seed": 5, "model.cell.name": "lstm"}]
    trials = [
        Trial(number, "complete", drawn[number % 2], value, "valid/loss_nats") for number, value in enumerate(VALUES)
    ]
    sweep = Sweep(Path("a.toml"), SweepTable(config="a.toml", name="a"), (), space, "")
    history, *others = figure(trials, sweep).axes
    marks = [
        [line.get_xydata()[0].tolist() for line in axes.get_lines() if line.get_marker() == "o" and is_best(line)]
        for axes in (history, *others)
    ]
    assert marks == [[[1.0, 2.0]], [[5.0, 2.0]], [[1.0, 2.0]]]
    assert history.get_title(loc="left") == "best (in orange): 2 in trial 1"


def is_best(line):
    return to_hex(line.get_color()).upper() == VERMILION
