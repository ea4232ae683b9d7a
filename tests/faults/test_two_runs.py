"""Two runs in one folder: the second is refused, and the lock of a dead process does not hold."""

import os
import signal

import pytest
from processes import TrainingRun, has_saved, is_stepping, whole
from small import snapshot

from seqmodels.cli import main

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be made to stand still")


def test_a_second_run_is_refused_as_long_as_the_first_lives(tmp_path, capsys):
    whole()
    with TrainingRun(tmp_path) as run:
        run.start()
        run.waits_for(has_saved(4))
        run.child.send_signal(signal.SIGSTOP)  # alive, but it changes nothing
        os.waitid(os.P_PID, run.child.pid, os.WSTOPPED)
        before = snapshot(run.path)
        for flags in ([], ["--resume"], ["--overwrite"]):
            assert main(["train", *run.arguments, *flags]) == 2
            captured = capsys.readouterr()
            (line,) = captured.err.splitlines()
            assert f"run folder {run.path} is in use by process {run.child.pid} on " in line
            assert captured.out == ""
        assert snapshot(run.path) == before
        run.kill()
        run.start("--resume")
        run.waits_for(is_stepping)
