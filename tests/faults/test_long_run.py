"""A run of 20,000 steps: memory, threads and open files stay what they were, and so does the speed."""

import contextlib
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from processes import TrainingRun
from small import restore

pytestmark = [pytest.mark.faults, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

STEPS = 20_000
EVERY = 500
DEADLINE = 1500
"""Seconds; on two quiet cores it is a quarter of a minute."""


class Measured(NamedTuple):
    """What a process has: the step of its newest checkpoint, bytes, threads, open files, and seconds of a processor."""

    step: int
    resident: int
    threads: int
    files: int
    processor: float


def measure(run):
    """What a run has now."""
    step, place = run.newest, Path(f"/proc/{run.child.pid}")
    status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    times = (place / "stat").read_text().rpartition(") ")[2].split()[11:13]
    seconds = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return Measured(
        step, int(status["VmRSS"].split()[0]) * 1024, int(status["Threads"]), len(os.listdir(place / "fd")), seconds
    )


def per_step(part):
    """Milliseconds of a processor that a step takes, checkpoints and validations included."""
    return 1000 * (part[-1].processor - part[0].processor) / (part[-1].step - part[0].step)


def test_nothing_grows(tmp_path):
    settings = [f"run.steps={STEPS}", "run.log_every=100", "sample.length=0", "optimizer.schedule={name='constant'}"]
    settings += [f"run.{what}_every={EVERY}" for what in ("validate", "checkpoint")]
    with TrainingRun(tmp_path, *settings) as run:
        run.start()
        found = []
        began = time.monotonic()
        while run.child.poll() is None:
            assert time.monotonic() < began + DEADLINE, run.output[-1000:]
            with contextlib.suppress(OSError, KeyError, IndexError):  # it has just ended
                found.append(measure(run))
            time.sleep(0.05)
        assert run.wait() == 0, run.errors
        assert restore(run.path).step == STEPS
        rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    warm = [measured for measured in found if STEPS // 10 <= measured.step < STEPS]
    fifth = len(warm) // 5
    assert fifth >= 10, "too fast to be watched"
    first, last = warm[:fifth], warm[-fifth:]
    # The least of a while: in between a checkpoint holds copies, threads and files of its own.
    least = [[min(values) for values in zip(*part, strict=True)][1:4] for part in (first, last)]
    speeds = [row["train/tokens_per_s"] for row in rows if "train/tokens_per_s" in row][5:]
    tenth = len(speeds) // 10
    slower = statistics.median(speeds[-tenth:]) / statistics.median(speeds[:tenth]) - 1
    print(f"resident, threads, files: {least[0]} at first, {least[1]} at last, of {len(warm)} measured")
    print(f"ms of a processor a step: {per_step(first):.3f} at first, {per_step(last):.3f} at last")
    print(f"tokens per second, last tenth against first: {100 * slower:+.1f}%; {run.seconds:.0f} s in all")
    assert least[1][0] <= 1.02 * least[0][0]
    assert least[1][1] <= least[0][1]
    assert least[1][2] <= least[0][2]
