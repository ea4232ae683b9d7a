"""Measures over a whole split."""

import functools
from typing import Any

import jax

from seqmodels.cells.base import PyTree
from seqmodels.training.task import Sums, Task


@functools.partial(jax.jit, static_argnames=("task",))
def _measure(task: Task, params: PyTree, carry: PyTree, batch: Any) -> tuple[PyTree, Sums]:
    """The carry and the sums of one batch, without noise."""
    _, (carry, sums) = task.loss(params, carry, batch, None)
    return carry, sums


def evaluate(task: Task, params: PyTree, split: str) -> dict[str, float]:
    """The metrics of a split, summed in float64 over its batches.

    Args:
      task: gives the batches and the loss; told apart by identity.
      params: the parameters.
      split: "valid" or "test".
    """
    carry, batches = task.evaluation(params, split)
    totals = dict.fromkeys(task.measures, 0.0)
    weights = dict.fromkeys(task.measures, 0.0)
    for batch in batches:
        carry, sums = _measure(task, params, carry, batch)
        for name, (total, weight) in jax.device_get(sums).items():
            totals[name] += float(total)
            weights[name] += float(weight)
    return task.metrics({name: totals[name] / weights[name] for name in task.measures})
