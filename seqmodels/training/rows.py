"""One row of metrics: what training came to since the row before."""

from collections.abc import Mapping
from typing import Any

from seqmodels.training.evaluation import means
from seqmodels.training.task import Task


def training_row(task: Task, sums: Mapping[str, Any], *, steps_per_s: float | None) -> dict[str, float]:
    """The measures of training and the norm of the gradient.

    Args:
      task: says what is reported.
      sums: on the host, (total, weight) by name, those of `TrainState.sums`.
      steps_per_s: how fast steps were done; None: not known.

    Returns:
      The row; empty if no step is in the sums.
    """
    steps = float(sums["grad_norm"][1])
    if steps == 0:
        return {}
    found = means(sums)
    row = {f"train/{name}": value for name, value in task.metrics(found).items()}
    row["grad_norm"] = found["grad_norm"]
    if steps_per_s is not None:
        weight = float(sums[next(iter(task.measures))][1])
        row[f"train/{task.weight_unit}_per_s"] = weight / steps * steps_per_s
    return row
