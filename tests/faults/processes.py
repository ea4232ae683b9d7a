"""Training runs as processes of their own: started, waited for, killed; and what must lie there afterwards."""

import functools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from oracles import assert_equal
from small import FULL, ROOT, compiled_in, environment, restore, result, rows, untimed, write

from seqmodels.training.checkpoint import Checkpoints
from seqmodels.training.run_folder import RunFolder

STEPS = 40
SLOW = (f"run.steps={STEPS}", "run.log_every=1", "run.validate_every=5", "run.checkpoint_every=2")
"""Some seconds, most of which go into checkpoints."""

DEADLINE = 300
"""Seconds after which a process is taken to hang."""


@functools.cache
def _session() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="seqmodels-faults-")


class TrainingRun:
    """A run of `FULL`, but longer, in a folder of its own; a context manager that leaves no process behind.

    Args:
      folder: for config, text, run and what the processes say.
      assignments: more changes to the config, each in place of an earlier one of its key.
      keeps: whether its processes keep all programs that they compile for later ones. One run alone does, and to the
        others they are there to read: a process that is killed or may not write would leave half a program.

    Attributes:
      path: the run folder.
      arguments: those of `train`.
      seconds: how long the last process that was waited for lasted.
    """

    def __init__(self, folder: Path, *assignments: str, keeps: bool = False) -> None:
        config, *given = write(folder, FULL)
        settings = dict(assignment.split("=", 1) for assignment in (*given, *SLOW, *assignments))
        self.path = Path(settings["run.dir"]) / "small"
        self.arguments = [config, *(f"{key}={value}" for key, value in settings.items())]
        self._files = (folder / "output.txt", folder / "errors.txt")
        self._child: subprocess.Popen[bytes] | None = None
        self._compiled = compiled_in(_session().name, least="0" if keeps else "inf")
        self.seconds = 0.0

    def start(self, *flags: str, compiled: bool = True) -> None:
        """Begins, or with `--resume` goes on; programs that were compiled before are compiled again if so asked."""
        self.launch(str(ROOT / "scripts" / "train.py"), *self.arguments, *flags, compiled=compiled)

    def launch(self, *command: str, compiled: bool = True) -> None:
        """Starts Python on any command."""
        self._began = time.monotonic()
        with open(self._files[0], "wb") as output, open(self._files[1], "wb") as errors:
            self._child = subprocess.Popen(
                [sys.executable, *command],
                env=environment(**self._compiled if compiled else {}),
                stdout=output,
                stderr=errors,
            )

    @property
    def child(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        assert self._child is not None
        return self._child

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._files[0].read_text(encoding="utf-8")

    @property
    def errors(self) -> list[str]:
        """The lines on its standard error."""
        return self._files[1].read_text(encoding="utf-8").splitlines()

    @property
    def newest(self) -> int:
        """The step of the newest checkpoint; 0 if there is none."""
        return max(Checkpoints(self.path / "checkpoints").steps(), default=0)

    def reaches(self, moment: Callable[["TrainingRun"], bool]) -> bool:
        """Waits for a moment; whether it came before the process ended."""
        while not moment(self):
            assert time.monotonic() < self._began + DEADLINE, self.output
            if self.child.poll() is not None:
                return False
            time.sleep(0.001)
        return True

    def waits_for(self, moment: Callable[["TrainingRun"], bool]) -> None:
        """Waits for a moment that must come."""
        assert self.reaches(moment), (self.output, self.errors)

    def wait(self) -> int:
        """Waits for the end; the exit code, negative after a signal."""
        code = self.child.wait(DEADLINE)
        self.seconds = time.monotonic() - self._began
        return code

    def kill(self) -> None:
        """Leaves the process no chance to do anything more; what it leaves is whole."""
        self.child.kill()
        assert self.wait() == -signal.SIGKILL
        assert_nothing_lost(self.path)

    def finish(self) -> None:
        """Goes on to the end, which is that of a run to which nothing happened."""
        self.start("--resume")
        assert self.wait() == 0, self.errors
        assert self.errors == []
        assert_same_run(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()


@functools.cache
def whole() -> TrainingRun:
    """A run to which nothing happens; the programs that it compiles are kept for the others."""
    folder = Path(_session().name) / "whole"
    folder.mkdir()
    with TrainingRun(folder, keeps=True) as run:
        run.start()
        assert run.wait() == 0, run.errors
    return run


def assert_same_run(path: Path) -> None:
    """Bitwise the same parameters, optimizer, carry, rows, texts and result as a run to which nothing happened."""
    expected = whole().path
    assert rows(path) == rows(expected)
    assert (path / "samples.txt").read_bytes() == (expected / "samples.txt").read_bytes()
    assert result(path) == result(expected)
    assert (path / "curves.png").exists()
    found, wanted = restore(path), restore(expected)
    assert found.skipped == ()
    assert found.step == wanted.step == STEPS
    assert_equal(found.tree, wanted.tree)
    assert found.extra["watch"] == wanted.extra["watch"]


def assert_nothing_lost(path: Path) -> None:
    """After any death: the newest checkpoint is whole, and so are the rows up to it; none is doubled."""
    checkpoints = Checkpoints(path / "checkpoints")
    newest = max(checkpoints.steps(), default=0)
    due = bool(newest) and checkpoints.read_extra(newest)["watch"]["due"]  # the row of that step waits
    found = [untimed(row) for row in RunFolder(path).metrics.read()]
    expected = rows(whole().path)
    assert found == expected[: len(found)]
    assert len(found) >= sum(row["step"] <= newest - due for row in expected)


def is_saving(run: TrainingRun) -> bool:
    """Whether a checkpoint is being written."""
    checkpoints = run.path / "checkpoints"
    return checkpoints.is_dir() and any(name.startswith(".writing-") for name in os.listdir(checkpoints))


def is_compiling(run: TrainingRun) -> bool:
    """Whether all is ready but the first step."""
    return "sample after step 0" in run.output


def is_validating(run: TrainingRun) -> bool:
    """Whether the last that was printed is the row of a step after which there is a validation."""
    last = run.output.rpartition("\nstep ")[2]
    step, _, rest = last.partition(f"/{STEPS}  ")
    return step.isdecimal() and int(step) % 5 == 0 and rest.count("\n") == 1 and not rest.startswith("validation")


def is_stepping(run: TrainingRun) -> bool:
    """Whether a step has been done since the process began."""
    return "first step done" in run.output


def has_saved(step: int) -> Callable[[TrainingRun], bool]:
    """The moment when the checkpoint of a step, or of a later one, is there."""
    return lambda run: run.newest >= step
