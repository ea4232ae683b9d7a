"""Measures a trained model."""

import argparse

from seqmodels.commands.shown import say, show
from seqmodels.commands.trained_run import TrainedRun, check_same_data
from seqmodels.training.evaluation import evaluate as measure


def evaluate(options: argparse.Namespace) -> int:
    """Measures a trained model on a split of its data; see `seqmodels evaluate --help`."""
    run = TrainedRun.of(options)
    task = run.task_type(run.config)
    restored = run.restore(task)
    check_same_data(restored.extra, task, run.path)
    metrics = {f"{options.split}/{name}": x for name, x in measure(task, restored.tree.result, options.split).items()}
    say(f"{run.path}, step {restored.step:,}")
    show(metrics, task.baselines())
    return 0
