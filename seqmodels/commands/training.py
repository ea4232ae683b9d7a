"""Trains a model from a config file."""

import argparse
import contextlib
import dataclasses
import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

from seqmodels import config as configs
from seqmodels.analysis import confusion, curves, forecast, piano_roll
from seqmodels.cells.spread import DATA, MODEL
from seqmodels.commands.resuming import go_on
from seqmodels.commands.shown import say, show
from seqmodels.commands.trained_run import SCHEMAS
from seqmodels.errors import UserError
from seqmodels.tasks import TASKS
from seqmodels.tasks.confusion import Confusion
from seqmodels.tasks.forecasts import Forecasts
from seqmodels.tasks.played_piece import PlayedPiece
from seqmodels.training.devices import Placement, make_mesh
from seqmodels.training.interrupts import InterruptedRun, exit_code
from seqmodels.training.loop import Fitted, Loop
from seqmodels.training.onlooker import Onlooker
from seqmodels.training.processes import Joining, joined, leads, together, wait
from seqmodels.training.progress import Progress, TensorBoard
from seqmodels.training.run_folder import RunFolder
from seqmodels.training.task import Task

DRAWN: dict[type, Callable[..., None]] = {
    Confusion: confusion.draw,
    Forecasts: forecast.draw,
    PlayedPiece: piano_roll.draw,
}
"""How each kind of picture that a task may have is drawn."""


def train(options: argparse.Namespace) -> int:
    """Trains from a config file; see `seqmodels train --help`."""
    path = Path(options.config)
    config = configs.load(path, options.assignments, SCHEMAS)
    if options.keys:
        print(configs.help_text(type(config)))
        return 0
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, name=config.run.name or path.stem))
    with joined(Joining(options.distributed, options.coordinator, options.processes, options.index)):
        try:
            run(prepare(config), resume=options.resume, overwrite=options.overwrite)
        except InterruptedRun as stop:
            if leads():
                say(f"stopped by {stop.signal.name} at step {stop.step:,}; everything is saved. Go on with:")
                say(f"  {_resume_command()}")
            return exit_code(stop.signal)
    return 0


class Prepared(NamedTuple):
    """A run before its first step: nothing is compiled or written yet.

    Attributes:
      config: the whole config, with a `run.name`.
      task: what is trained.
      placement: on which devices.
    """

    config: Any
    task: Task
    placement: Placement


def prepare(config: Any) -> Prepared:
    """Reads the data of a config.

    Raises:
      UserError: for all that can be known to be wrong before anything is written.
    """
    with together():
        task = TASKS[config.task.name](config)
        placement = Placement(make_mesh(config.devices.mesh), batch_axis=min(config.training.accumulate - 1, 1))
        placement.check(config.data.batch_size)
        if config.run.tensorboard:
            TensorBoard.require()
        config.optimizer.build(config.run.steps)  # refuses a schedule that does not fit
    return Prepared(config, task, placement)


def run(
    prepared: Prepared,
    *,
    resume: bool,
    overwrite: bool = False,
    after_validation: Callable[[Loop], None] | None = None,
) -> None:
    """Trains to the end, unless the run in the folder is finished.

    Args:
      prepared: what is run; its folder is run.dir/run.name.
      resume: go on with the run in the folder, if there is one.
      overwrite: remove the run in the folder, if there is one.
      after_validation: see `Loop`.

    Raises:
      InterruptedRun: if a signal asked to stop; everything is saved.
      UserError: if there is a run which may not be gone on with, or what `Loop.fit` raises.
    """
    config, task, placement = prepared
    with contextlib.ExitStack() as stack:
        with together():
            folder = stack.enter_context(_folder(config, resume=resume, overwrite=overwrite))
        with together():  # not before all know that there is a folder: here they speak with each other
            differences = go_on(folder, config, task)
        if folder.finished:
            say(f"the run in {folder.path} is finished: see {folder.path / 'result.json'}")
            return
        progress = stack.enter_context(Progress(config.run.steps, console=None if leads() else Console(quiet=True)))
        for line in differences:
            progress.note(line)
        stack.enter_context(jax.set_mesh(placement.mesh))
        loop = Loop(task, config.run, config.training, config.optimizer, folder, progress, placement, after_validation)
        _introduce(task, loop)
        fitted = loop.fit()
        with together():
            if leads():
                _conclude(config.run.name, folder, task, loop, fitted)


def _folder(config: Any, *, resume: bool, overwrite: bool) -> RunFolder:
    """The run's folder, for the process that leads to write, for the others to look at."""
    folder = Path(config.run.dir) / config.run.name
    if not leads():
        wait()
        return Onlooker(folder)
    try:
        return RunFolder.create(folder, configs.dumps(config), resume=resume, overwrite=overwrite)
    finally:
        wait()


def _introduce(task: Task, loop: Loop) -> None:
    """What is trained, on what, where."""
    sizes = [leaf.size for leaf in jax.tree.leaves(loop.record.like.params)]
    for line in task.describe():
        loop.progress.note(line)
    mesh, processes = loop.placement.mesh, jax.process_count()
    where = f"{mesh.size} {jax.default_backend()} device(s)"
    if mesh.shape[MODEL] > 1:
        where += f", {mesh.shape[DATA]} x {mesh.shape[MODEL]} of which share batch and model"
    if processes > 1:
        where += f", {processes} processes"
    loop.progress.note(f"{sum(sizes):,} parameters; {where}")


def _conclude(name: str, run: RunFolder, task: Task, loop: Loop, fitted: Fitted) -> None:
    """Draws pictures, writes the result and shows it beside the baselines."""
    baselines = task.baselines()
    result: dict[str, Any] = {
        "task": task.name,
        "config": name,
        "steps": fitted.steps,
        "best_step": fitted.best_step,
        "seconds": loop.record.seconds,
        "metrics": fitted.metrics,
        "baselines": baselines,
    }
    drawing: dict[str, Callable[[Path], None]] = {
        "curves": lambda path: curves.draw(
            run.metrics.read(),
            path,
            objective=task.objective,
            baselines=baselines[f"valid/{task.objective}"],
            title=name,
            clip_norm=loop.optimizer.clip_norm,
        )
    }
    for kind, picture in fitted.pictures.items():
        drawing[kind] = functools.partial(DRAWN[type(picture)], picture, title=f"{name}, test")
    faults = []
    for kind, draw in drawing.items():
        path = run.path / f"{kind}.png"
        try:
            draw(path)
        except OSError as error:
            faults.append(f"{path} cannot be written: {error.strerror}; all else is done")
    run.write_json("result.json", result)  # last, since it says that the run is finished
    show(fitted.metrics, baselines)
    say(f"{loop.record.seconds:,.0f} s; result, samples and curves are in {run.path}")
    if faults:
        raise UserError(*faults)


def _resume_command() -> str:
    """The command that goes on with this run."""
    program = Path(sys.argv[0])
    start = ["python", sys.argv[0]] if program.suffix == ".py" else [program.name]
    rest = [argument for argument in sys.argv[1:] if argument not in ("--resume", "--overwrite")]
    return shlex.join([*start, *rest, "--resume"])
