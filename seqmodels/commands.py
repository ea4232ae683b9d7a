"""What the commands do: put config, task, run folder and loop together, and show results."""

import argparse
import dataclasses
import functools
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from seqmodels import config as configs
from seqmodels.analysis import confusion, curves
from seqmodels.benchmarks.commands import benchmark
from seqmodels.errors import UserError
from seqmodels.models import Sampling
from seqmodels.tasks import TASKS
from seqmodels.tasks.confusion import Confusion
from seqmodels.tasks.writer import Writer
from seqmodels.training.checkpoint import CheckpointError, Checkpoints
from seqmodels.training.devices import Placement, make_mesh
from seqmodels.training.evaluation import evaluate as measure
from seqmodels.training.interrupts import exit_code
from seqmodels.training.loop import Fitted, InterruptedRun, Loop
from seqmodels.training.progress import Progress, TensorBoard, format_measure
from seqmodels.training.run_folder import RunFolder
from seqmodels.training.step import TrainState, make_step
from seqmodels.training.task import Task, Trainable

__all__ = ["benchmark", "evaluate", "generate", "train"]

_SCHEMAS = {name: task.schema for name, task in TASKS.items()}
_MAY_CHANGE = ("run.keep_last", "run.tensorboard", "run.dir")
_DRAWN: dict[type, Callable[..., None]] = {Confusion: confusion.draw}
"""How each kind of picture that a task may have is drawn."""


def train(options: argparse.Namespace) -> int:
    """Trains from a config file; see `seqmodels train --help`."""
    path = Path(options.config)
    config = configs.load(path, options.assignments, _SCHEMAS)
    if options.keys:
        print(configs.help_text(type(config)))
        return 0
    name = config.run.name or path.stem
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, name=name))
    task = TASKS[config.task.name](config)
    placement = Placement(make_mesh(config.devices.mesh), batch_axis=min(config.training.accumulate - 1, 1))
    placement.check(config.data.batch_size)
    if config.run.tensorboard:
        TensorBoard.require()
    config.optimizer.build(config.run.steps)  # refuses a schedule that does not fit before anything is written
    folder = Path(config.run.dir) / name
    text = configs.dumps(config)
    with RunFolder.create(folder, text, resume=options.resume, overwrite=options.overwrite) as run:
        if run.finished:
            _say(f"the run in {run.path} is finished: see {run.path / 'result.json'}")
            return 0
        _check_same_run(run, text, task)
        with Progress(config.run.steps) as progress:
            loop = Loop(task, config.run, config.training, config.optimizer, run, progress, placement)
            _introduce(task, loop)
            try:
                fitted = loop.fit()
            except InterruptedRun as stop:
                progress.note(f"stopped by {stop.signal.name} at step {stop.step:,}; everything is saved. Go on with:")
                progress.note(f"  {_resume_command()}")
                return exit_code(stop.signal)
        _conclude(name, run, task, loop, fitted)
    return 0


def evaluate(options: argparse.Namespace) -> int:
    """Measures a trained model; see `seqmodels evaluate --help`."""
    config, checkpoints, step = _open(options)
    task = TASKS[config.task.name](config)
    restored = checkpoints.restore(_shapes(config, task), step)
    _check_same_data(restored.extra, task, options.folder)
    metrics = {f"{options.split}/{name}": x for name, x in measure(task, restored.tree.result, options.split).items()}
    _say(f"{options.folder}, step {restored.step:,}")
    _show(metrics, task.baselines())
    return 0


def generate(options: argparse.Namespace) -> int:
    """Writes text with a trained model; see `seqmodels generate --help`."""
    try:
        sampling = Sampling(options.temperature, options.top_k, options.top_p)
    except ValueError as error:
        raise UserError(str(error)) from error
    config, checkpoints, step = _open(options)
    model = TASKS[config.task.name].restore(config, checkpoints.read_extra(step))
    if not isinstance(model, Writer):
        raise UserError(f"{options.folder}: its task, {config.task.name}, writes no text; use evaluate")
    model.prompt_ids(options.prompt)  # refuses unknown characters before anything is printed
    params = checkpoints.restore(_shapes(config, model), step).tree.result
    for number in range(options.samples):
        if options.samples > 1:
            print(f"--- sample {number + 1} of {options.samples} ---")
        print(model.shown(options.prompt), end="", flush=True)
        key = jax.random.fold_in(jax.random.key(options.seed), number)
        for (piece,) in model.write(params, options.prompt, key, length=options.length, sampling=sampling):
            print(piece, end="", flush=True)
        print()
    return 0


def _say(line: str) -> None:
    """A line for people, never wrapped."""
    print(line, flush=True)


def _introduce(task: Task, loop: Loop) -> None:
    """What is trained, on what, where."""
    sizes = [leaf.size for leaf in jax.tree.leaves(loop.like().params)]
    for line in task.describe():
        loop.progress.note(line)
    loop.progress.note(f"{sum(sizes):,} parameters; {jax.device_count()} {jax.default_backend()} device(s)")


def _conclude(name: str, run: RunFolder, task: Task, loop: Loop, fitted: Fitted) -> None:
    """Writes result and pictures, and shows the result beside the baselines."""
    baselines = task.baselines()
    result: dict[str, Any] = {
        "task": task.name,
        "config": name,
        "steps": fitted.steps,
        "best_step": fitted.best_step,
        "seconds": loop.seconds,
        "metrics": fitted.metrics,
        "baselines": baselines,
    }
    run.write_json("result.json", result)
    _show(fitted.metrics, baselines)
    _say(f"{loop.seconds:,.0f} s; result, samples and curves are in {run.path}")
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
        drawing[kind] = functools.partial(_DRAWN[type(picture)], picture, title=f"{name}, test")
    for kind, draw in drawing.items():
        path = run.path / f"{kind}.png"
        try:
            draw(path)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}; all else is done") from error


def _show(metrics: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> None:
    """Each metric, with what simple methods reach."""
    for name, value in metrics.items():
        others = "".join(f"   {other} {x:.4g}" for other, x in baselines.get(name, {}).items())
        _say(f"{name.partition('/')[0]:<6} {format_measure(name, value):<24}{others}".rstrip())


def _open(options: argparse.Namespace) -> tuple[Any, Checkpoints, int | None]:
    """The config and the checkpoints of a run folder, and which of these was asked for."""
    run = RunFolder(options.folder)
    _ = run.config_text  # says so if it is not the folder of a run
    config = configs.load(run.path / "config.toml", [], _SCHEMAS)
    checkpoints = Checkpoints(run.checkpoints)
    return config, checkpoints, _which(checkpoints, options.checkpoint)


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


def _shapes(config: Any, task: Trainable) -> TrainState:
    """The shapes of what a run with this config saves."""
    step = make_step(
        task, config.optimizer.build(config.run.steps), seed=config.run.seed, averaging=config.training.averaging
    )
    shapes: TrainState = jax.eval_shape(step.init, jax.random.key(0))
    return shapes


def _check_same_run(run: RunFolder, text: str, task: Task) -> None:
    """Refuses to go on with a run whose config or data were others."""
    before, now = (dict(_flat(tomllib.loads(t))) for t in (run.config_text, text))
    changed = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    faults = [
        f"{run.path}: {key} was {before.get(key, 'not set')!r}, now {now.get(key, 'not set')!r}"
        for key in changed
        if key not in _MAY_CHANGE
    ]
    if faults:
        raise UserError(*faults, f"{run.path}: --resume needs the config it began with; or choose another run.name")
    checkpoints = Checkpoints(run.checkpoints)
    if checkpoints.steps():
        _check_same_data(checkpoints.read_extra(), task, str(run.path))


def _check_same_data(extra: Mapping[str, Any], task: Task, folder: str) -> None:
    """Refuses data other than those a checkpoint was trained on."""
    if extra["data_sha256"] != task.extra()["data_sha256"]:
        raise UserError(
            f"{folder}: {task.data_name} is not the one this run was trained on (its sha256 differs); "
            "give back the old file, or start a new run"
        )


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Key paths and values of nested tables."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _resume_command() -> str:
    """The command that goes on with this run."""
    program = Path(sys.argv[0])
    start = ["python", sys.argv[0]] if program.suffix == ".py" else [program.name]
    rest = [argument for argument in sys.argv[1:] if argument not in ("--resume", "--overwrite")]
    return shlex.join([*start, *rest, "--resume"])
