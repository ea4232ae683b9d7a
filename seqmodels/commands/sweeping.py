"""Searches the ranges of a sweep: many runs of one config."""

import argparse
import contextlib
import importlib.util
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from seqmodels import config as configs
from seqmodels.analysis import sweep as pictures
from seqmodels.commands import training
from seqmodels.commands.shown import say
from seqmodels.errors import UserError
from seqmodels.sweeps import tables
from seqmodels.sweeps.space import assignments, check, load_config
from seqmodels.sweeps.tables import Sweep, argument
from seqmodels.sweeps.trials import Trial, counted, name, ranked, table
from seqmodels.training.bad_steps import DivergedRun
from seqmodels.training.folder_lock import alone
from seqmodels.training.interrupts import InterruptedRun, exit_code
from seqmodels.training.loop import Loop
from seqmodels.training.memory import TooLargeError
from seqmodels.training.run_folder import RunFolder

if TYPE_CHECKING:
    from seqmodels.sweeps.study import Claim, Study

BEST = 10
"""So many of the best trials are shown."""

MOST_REFUSED = 3
"""So many trials in a row that cannot be begun end the sweep."""


class PrunedRun(Exception):  # noqa: N818 (not an error: the run is worse than others, and was ended)
    """The run was ended at a validation."""


def sweep(options: argparse.Namespace) -> int:
    """Runs the trials of a sweep; see `seqmodels sweep --help`."""
    if options.keys:
        print(tables.keys_text())
        return 0
    if importlib.util.find_spec("optuna") is None:
        raise UserError('a sweep needs a package more: pip install "seqmodels[sweep]"')
    from seqmodels.sweeps.study import Study  # noqa: PLC0415 (an extra)

    asked = tables.load(Path(options.file), options.assignments)
    check(asked)
    study = Study(asked, configs.dumps(load_config(asked._replace(space={}), {})))
    with alone(asked.folder):  # of workers that begin at once, each writes by the same name beside the file
        RunFolder(asked.folder).write_text("sweep.toml", asked.text)
    code = 0
    try:
        _work(asked, study)
    except InterruptedRun as stop:
        say(f"stopped by {stop.signal.name}; everything is saved. The same command goes on.")
        code = exit_code(stop.signal)
    with alone(asked.folder):
        best = _conclude(asked, study.trials())
    if not best and not code:
        raise UserError(
            f"{asked.path}: no trial was completed; what became of each is in {asked.folder / 'sweep.json'}"
        )
    return code


def _work(sweep: Sweep, study: "Study") -> None:
    """Runs trials until there are as many as there shall be.

    One that cannot be begun has failed if others can. Otherwise something else is wrong, such as data that are missing:
    that is told, and no trial is lost by it. Values that the config does not take together have failed in any case.
    """
    refused: list[tuple[Claim, UserError]] = []
    with contextlib.ExitStack() as held:
        while (claim := study.claim()) is not None:
            held.enter_context(claim)
            say(f"--- {name(claim.number)} of {sweep.trials}: {'  '.join(assignments(claim.params))} ---")
            try:
                config = _config(sweep, claim)
            except configs.ConfigError as error:
                load_config(sweep, {})  # raises if it is not the values that are refused
                claim.fail(str(error))
                continue
            try:
                prepared = training.prepare(config)
            except UserError as error:
                refused.append((claim, error))
                if len(refused) == MOST_REFUSED:
                    raise
                continue
            _fail(refused)
            _run(sweep, claim, prepared)
            held.close()
            # programs that no other trial needs, and their data
            jax.clear_caches()  # type: ignore[no-untyped-call]  # JAX leaves it untyped
        if refused and all(trial.state != "complete" for trial in study.trials()):
            raise refused[-1][1]
        _fail(refused)


def _fail(refused: "list[tuple[Claim, UserError]]") -> None:
    """Counts trials as failed."""
    for claim, error in refused:
        claim.fail(str(error))
    refused.clear()


def _config(sweep: Sweep, claim: "Claim") -> Any:
    """The config of one trial."""
    places = (argument("run.dir", str(sweep.folder)), argument("run.name", name(claim.number)))
    return load_config(sweep, claim.params, *places)


def _run(sweep: Sweep, claim: "Claim", prepared: training.Prepared) -> None:
    """Runs one trial to its end, and tells the study."""
    objective = sweep.table.objective or f"valid/{prepared.task.objective}"

    def after_validation(loop: Loop) -> None:
        rows = [row for row in loop.folder.metrics.read() if f"valid/{prepared.task.objective}" in row]
        if claim.report({row["step"]: _objective(sweep, objective, row) for row in rows}):
            raise PrunedRun

    try:
        training.run(prepared, resume=True, after_validation=after_validation)
    except PrunedRun:
        claim.prune()
        say(f"{name(claim.number)} is worse than the median of the trials before it, and was ended")
    except DivergedRun as error:
        claim.diverge(str(error))
        say(str(error))
    except TooLargeError as error:
        claim.fail(str(error))
        say(str(error))
    except (UserError, InterruptedRun):
        raise  # to be mended or gone on with: the trial stays as it is
    except Exception as error:
        claim.fail(repr(error))
        raise
    else:
        path = Path(prepared.config.run.dir) / prepared.config.run.name / "result.json"
        result = json.loads(path.read_text(encoding="utf-8"))
        value = _objective(sweep, objective, result["metrics"])
        claim.complete(objective, value, result["steps"], result["seconds"])


def _objective(sweep: Sweep, objective: str, metrics: dict[str, float]) -> float:
    """The metric that is searched for."""
    if objective not in metrics:
        there = ", ".join(metric for metric in metrics if metric.startswith("valid/"))
        raise UserError(f"{sweep.path}: sweep.objective: no {objective!r} is measured; there are {there}")
    return metrics[objective]


def _conclude(sweep: Sweep, trials: Sequence[Trial]) -> list[Trial]:
    """Shows what was found, and writes it; returns the complete trials, the best first."""
    best = ranked(trials, maximize=sweep.table.direction == "maximize")
    command = _command(sweep, best[0]) if best else None
    objective = best[0].objective if best else sweep.table.objective
    found = {
        "config": sweep.table.config,
        "objective": objective,
        "direction": sweep.table.direction,
        "sampler": sweep.table.sampler,
        "pruner": sweep.table.pruner,
        "seed": sweep.table.seed,
        "trials": [trial._asdict() for trial in trials],
        "best": best[0].number if best else None,
        "command": command,
    }
    RunFolder(sweep.folder).write_json("sweep.json", found)
    for trial in trials:
        if trial.reason is not None:
            say(f"{name(trial.number)} {trial.state}: {trial.reason}")
    say(counted(trials))
    if best:
        for line in table(best[:BEST]):
            say(line)
        try:
            pictures.draw(trials, sweep, sweep.folder / "sweep.png")
        except OSError as error:
            raise UserError(f"{sweep.folder / 'sweep.png'} cannot be written: {error.strerror}") from error
        say(f"the best again: {command}")
        say(f"sweep.json, sweep.png and the runs are in {sweep.folder}")
    return best


def _command(sweep: Sweep, trial: Trial) -> str:
    """The command that repeats a trial."""
    program = Path(sys.argv[0])
    script = program.name == "sweep.py"
    start = ["python", str(program.with_name("train.py"))] if script else ["seqmodels", "train"]
    here = os.path.relpath(sweep.table.config)
    path = sweep.table.config if here.startswith(os.pardir) else here
    return shlex.join([*start, path, *sweep.fixed, *assignments(trial.params), f"run.name={sweep.name}_best"])
