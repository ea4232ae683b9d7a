"""A run that was trained before: its config, and the parameters of one of its checkpoints."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import jax

from seqmodels import config as configs
from seqmodels.cells.base import PyTree
from seqmodels.errors import UserError
from seqmodels.tasks import TASKS
from seqmodels.training.checkpoint import CheckpointError, Checkpoints, Restored
from seqmodels.training.run_folder import RunFolder
from seqmodels.training.step import TrainState, make_step
from seqmodels.training.task import Task, Trainable

SCHEMAS = {name: task.schema for name, task in TASKS.items()}
"""The config of each task."""


class TrainedRun:
    """A run folder, opened to be read.

    Args:
      folder: of the run.
      checkpoint: "best", "last", or the number of a step that was saved.

    Attributes:
      path: the folder.
      config: the run's.

    Raises:
      UserError: if it is not the folder of a run, or has no such checkpoint.
    """

    def __init__(self, folder: str, checkpoint: str = "best") -> None:
        run = RunFolder(folder)
        _ = run.config_text  # says so if it is not the folder of a run
        self.path: Path = run.path
        self.config: Any = configs.load(run.path / "config.toml", [], SCHEMAS)
        self._checkpoints = Checkpoints(run.checkpoints)
        self._step = _which(self._checkpoints, checkpoint)

    @classmethod
    def of(cls, options: argparse.Namespace) -> "TrainedRun":
        """The run and the checkpoint that a command line names."""
        return cls(options.folder, options.checkpoint)

    @property
    def task_type(self) -> type[Task]:
        """The task's class."""
        return TASKS[self.config.task.name]

    def model(self) -> Trainable:
        """What the task gives without its data."""
        return self.task_type.restore(self.config, self._checkpoints.read_extra(self._step))

    def restore(self, model: Trainable) -> Restored[TrainState]:
        """The checkpoint, read for a model or a task of this config."""
        return self._checkpoints.restore(self._shapes(model), self._step)

    def params(self, model: Trainable) -> PyTree:
        """The parameters to use."""
        return self.restore(model).tree.result

    def lacking(self, what: str, instead: str) -> UserError:
        """The error for a task that cannot do what is asked."""
        return UserError(f"{self.path}: its task, {self.config.task.name}, {what}; {instead}")

    def _shapes(self, model: Trainable) -> TrainState:
        """The shapes of what a run with this config saves."""
        config = self.config
        optimizer = config.optimizer.build(config.run.steps)
        step = make_step(model, optimizer, seed=config.run.seed, averaging=config.training.averaging)
        shapes: TrainState = jax.eval_shape(step.init, jax.random.key(0))
        return shapes


def check_same_data(extra: Any, task: Task, folder: Path) -> None:
    """Refuses data other than those a checkpoint was trained on, and other vocabularies made from them.

    Raises:
      UserError: if they are others.
    """
    now = json.loads(json.dumps(task.extra()))
    if extra["data_sha256"] != now["data_sha256"]:
        raise UserError(
            f"{folder}: {task.data_name} is not the one this run was trained on (its sha256 differs); "
            "give back the old file, or start a new run"
        )
    others = [key for key in now if not _alike(now[key], extra.get(key))]
    if others:
        raise UserError(
            f"{folder}: this version of seqmodels makes another {' and '.join(others)} of {task.data_name} than the "
            "run was trained with; use the version that its environment.json names, or start a new run"
        )


def _alike(a: Any, b: Any) -> bool:
    """Whether JSON is equal, numbers up to what another machine's order of additions may change."""
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(value, b[key]) for key, value in a.items())
    return bool(a == b)


def _which(checkpoints: Checkpoints, asked: str) -> int | None:
    """The step of a checkpoint; None: the newest."""
    if asked == "best":
        return checkpoints.best_step()
    if asked == "last":
        return None
    if not asked.isdecimal() or int(asked) not in checkpoints.steps():
        there = ", ".join(map(str, checkpoints.steps())) or "none"
        raise CheckpointError(f"--checkpoint: 'best', 'last' or a saved step (got {asked!r}; there are {there})")
    return int(asked)
