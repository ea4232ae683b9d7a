"""Measures over a whole split."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from seqmodels.cells.base import PyTree
from seqmodels.training.processes import on_host
from seqmodels.training.task import Sums, Task

Put = Callable[[Any], Any]


@functools.partial(jax.jit, static_argnames=("task",))
def _measure(task: Task, params: PyTree, carry: PyTree, batch: Any) -> tuple[PyTree, Sums]:
    """The carry and the sums of one batch, without noise."""
    _, (carry, sums) = task.loss(params, carry, batch, None)
    return carry, sums


def _as_it_is(tree: Any) -> Any:
    return tree


def _go_on() -> None:
    pass


def evaluate(
    task: Task, params: PyTree, split: str, put: Put = _as_it_is, heed: Callable[[], None] = _go_on
) -> dict[str, float]:
    """The metrics of a split, summed in float64 over its batches.

    Args:
      task: gives the batches and the loss; told apart by identity.
      params: the parameters.
      split: "valid" or "test".
      put: puts a batch, or a carry, on the devices that share it.
      heed: called after each batch; what it raises ends the evaluation.
    """
    return task.metrics(means(measure(task, params, split, put, heed)))


def measure(
    task: Task, params: PyTree, split: str, put: Put = _as_it_is, heed: Callable[[], None] = _go_on
) -> dict[str, Any]:
    """The sums over a split, (total, weight) by name in float64; the arguments are those of `evaluate`."""
    carry, batches = task.evaluation(params, split)
    sums = {name: (np.zeros(shape), np.zeros(())) for name, shape in task.measures.items()}
    carry = put(carry)
    for batch in batches:
        carry, added = _measure(task, params, carry, put(batch))
        for name, (total, weight) in on_host(added).items():
            sums[name] = (sums[name][0] + total, sums[name][1] + weight)
        heed()
    return sums


def means(sums: Mapping[str, Any]) -> dict[str, Any]:
    """The measures: total / weight, floats where totals are numbers; 0 where nothing was weighed.

    Example:
      >>> means({"loss_nats": (np.float64(3.0), 2.0), "confusion": (np.eye(2), 4.0)})["loss_nats"]
      1.5
    """
    found = {name: np.asarray(total, np.float64) / (float(weight) or 1.0) for name, (total, weight) in sums.items()}
    return {name: float(mean) if mean.ndim == 0 else mean for name, mean in found.items()}
