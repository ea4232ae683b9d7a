"""What may be another when a run goes on: config, data, versions, devices."""

import tomllib
from typing import Any, Final

from seqmodels import config as configs
from seqmodels.commands.trained_run import SCHEMAS, check_same_data
from seqmodels.config.changes import flat
from seqmodels.errors import UserError
from seqmodels.training.checkpoint import Checkpoints
from seqmodels.training.environment import environment, record
from seqmodels.training.run_folder import CONFIG, RunFolder
from seqmodels.training.task import Task

MAY_CHANGE: Final = {
    "run.dir": "where the folder is",
    "run.keep_last": "what is kept of it",
    "run.on_failed_save": "what a full disk ends",
    "run.tensorboard": "what is shown of it",
    "data.path": "where the data are; what is in them is compared",
    "data.dir": "the same",
    "training.bad_steps": "what is done about steps to come",
    "devices": "who computes it",
}
"""The keys, each with all below it, that may be others when a run goes on, and what they say; no other may."""


def go_on(run: RunFolder, config: Any, task: Task) -> list[str]:
    """Makes sure that a run in a folder, if there is one, can go on with this config, and writes down what with.

    Of a finished run only the config is compared: whoever asks for more steps is not told that all is done.

    The config in the folder becomes this one, so that it says where the data are now. `environment.json` gets what the
    run is computed with from here on.

    Args:
      run: the folder, locked.
      config: what the run shall go on with.
      task: made from it.

    Returns:
      What is another than before, a line each.

    Raises:
      UserError: if something is another that may not be.
    """
    text = configs.dumps(config)
    changed = _check_config(run, text)
    if run.finished:
        return changed
    checkpoints = Checkpoints(run.checkpoints)
    if checkpoints.steps():
        check_same_data(checkpoints.read_extra(), task, run.path)
    if changed:
        run.write_text(CONFIG, text)
    now = {**environment(), "data_sha256": task.extra()["data_sha256"]}
    others = record(run, now, max(checkpoints.steps(), default=0))
    if others:
        others.append("the numbers may differ in their last digits from those of a run that went on as it was")
    return [*changed, *others]


def _check_config(run: RunFolder, text: str) -> list[str]:
    """What is another in the config; a key that the run's own does not have yet counts as its default of today.

    Raises:
      UserError: if a key is another that may not be.
    """
    own = configs.load(run.path / CONFIG, [], SCHEMAS)
    before, now = (flat(tomllib.loads(t)) for t in (configs.dumps(own), text))
    changed = {key: None for key in (*before, *now) if before.get(key) != now.get(key)}
    lines = {key: f"{key} was {before.get(key, 'not set')!r}, now {now.get(key, 'not set')!r}" for key in changed}
    faults = [f"{run.path}: {line}" for key, line in sorted(lines.items()) if not _may_change(key)]
    if faults:
        raise UserError(*faults, f"{run.path}: --resume needs the config it began with; or choose another run.name")
    return list(lines.values())


def _may_change(key: str) -> bool:
    return any(f"{key}.".startswith(f"{allowed}.") for allowed in MAY_CHANGE)
