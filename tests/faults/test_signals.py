"""Runs that are asked to stop: saved, and gone on with by the command they print; asked twice, they leave at once."""

import os
import shlex
import signal
import time

import pytest
from processes import (
    STEPS,
    TrainingRun,
    assert_nothing_lost,
    is_compiling,
    is_saving,
    is_stepping,
    is_validating,
    whole,
)

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
SAMPLE = ((signal.SIGTERM, is_compiling), (signal.SIGINT, is_saving))
ALL = tuple((number, moment) for moment in (is_compiling, is_saving, is_validating, is_stepping) for number in CODES)


SOON = 5
"""Seconds from the end of the step to the checkpoint; steps of these runs take milliseconds."""


def stops(run, number, moment):
    """Asks the process to stop; returns the command it prints, of which it says that it goes on."""
    run.waits_for(moment)
    before = run.newest
    run.child.send_signal(number)
    assert run.wait() == CODES[number], run.errors
    assert run.errors == []
    said, command = run.output.splitlines()[-2:]
    assert said == f"stopped by {number.name} at step {run.newest}; everything is saved. Go on with:"
    assert run.newest >= before  # the same where a resumed run is stopped in the validation that was due
    assert_nothing_lost(run.path)
    python, *rest = shlex.split(command)
    assert python == "python"
    return rest


def saved(run):
    """When the newest checkpoint was whole."""
    return max(path.stat().st_mtime for path in (run.path / "checkpoints" / f"{run.newest:09d}").rglob("*"))


@pytest.mark.faults
@pytest.mark.parametrize("moment", [is_saving, is_stepping, is_validating])
@pytest.mark.parametrize("number", CODES)
def test_it_is_saved_soon(number, moment, tmp_path):
    whole()
    with TrainingRun(tmp_path) as run:
        run.start()
        run.waits_for(moment)
        asked = time.time()
        run.child.send_signal(number)
        assert run.wait() == CODES[number], run.errors
        took = saved(run) - asked
        print(f"saved {took:.2f} s after {number.name}")
        if os.getloadavg()[0] > (os.cpu_count() or 1):
            pytest.skip(f"the machine is busy with other work: {took:.2f} s say nothing")
        assert took < SOON


@pytest.mark.parametrize("stopped", [SAMPLE, pytest.param(ALL, marks=pytest.mark.faults)])
def test_a_stopped_run_is_saved_and_goes_on_as_it_says(stopped, tmp_path):
    whole()
    with TrainingRun(tmp_path) as run:
        (number, moment), *others = stopped
        run.start(compiled=False)
        command = stops(run, number, moment)
        for number, moment in others:
            # Only a new run has a text before its first step; one that goes on is compiling when it has said so.
            run.launch(*command, compiled=moment is not is_compiling)
            resumed = (lambda run: "resumed at step" in run.output) if moment is is_compiling else moment
            assert stops(run, number, resumed) == command
        run.finish()


@pytest.mark.parametrize(
    "moment", [is_saving, *(pytest.param(when, marks=pytest.mark.faults) for when in (is_compiling, is_validating))]
)
def test_asked_twice_it_leaves_at_once_and_nothing_is_corrupt(moment, tmp_path):
    whole()
    with TrainingRun(tmp_path) as run:
        run.start(compiled=moment is not is_compiling)
        run.waits_for(moment)
        run.child.send_signal(signal.SIGTERM)
        run.child.send_signal(signal.SIGINT)
        assert run.wait() in (-signal.SIGTERM, -signal.SIGINT, *CODES.values())
        assert "everything is saved" not in run.output
        assert run.newest < STEPS
        assert_nothing_lost(run.path)
