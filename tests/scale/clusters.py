"""One training run on several devices or in several processes, as processes of their own."""

import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from small import FULL, ROOT, compiled_in, environment, rows, write

from seqmodels.cli import main

STEPS = 50
SETTINGS = (
    f"run.steps={STEPS}",
    "run.log_every=1",
    "run.validate_every=25",
    "run.checkpoint_every=10",
    "run.keep_last=9",
    "data.batch_size=8",
    'model.cell={name="lstm", hidden_size=16, zoneout=0.1}',
    "training.accumulate=1",
)
"""Noise, averages and a carry; rows and units that 8 devices can share."""

DEADLINE = 120
"""Seconds after which a process is taken to hang."""

SAME = 1e-5
"""How far a loss may be from that of one device, relatively: only the order of sums differs."""


@functools.cache
def _session() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="seqmodels-scale-")


COMPILED = compiled_in(_session().name)
"""Where the programs that one process compiles lie ready for the next."""


@functools.cache
def folder() -> Path:
    """Where all runs are, with one text and one config."""
    path = Path(_session().name)
    write(path, FULL)
    return path


def run_of(name: str) -> Path:
    """The folder of a run."""
    return folder() / "runs" / name


def arguments(name: str, *more: str) -> list[str]:
    """Those of `train`."""
    given = [str(folder() / "small.toml"), f"data.path={folder() / 'text.txt'}", f"run.dir={folder() / 'runs'}"]
    return [*given, *SETTINGS, f"run.name={name}", *more]


@functools.cache
def on_one_device() -> Path:
    """The run that all others are compared with."""
    assert main(["train", *arguments("one_device")]) == 0
    return run_of("one_device")


def losses(run: Path) -> np.ndarray:
    """The training loss of every step and the losses of all validations."""
    found = rows(run)
    assert [row["step"] for row in found] == list(range(1, STEPS + 1)), "a row lost, doubled or torn"
    names = ("train/loss_nats", "valid/loss_nats", "grad_norm")
    return np.array([row[name] for row in found for name in names if name in row])


def assert_same_losses(run: Path) -> None:
    """Those of one device."""
    np.testing.assert_allclose(losses(run), losses(on_one_device()), rtol=SAME)


def cut_back(run: Path, step: int) -> None:
    """Leaves a run as if it had been killed right after the checkpoint of a step."""
    (run / "result.json").unlink()
    for path in (run / "checkpoints").iterdir():
        if int(path.name) > step:
            shutil.rmtree(path)


class Processes:
    """Processes of one run that find each other on this machine; a context manager that leaves none behind.

    Args:
      number: how many processes.
      devices: of each of them.
    """

    def __init__(self, number: int = 1, *, devices: int) -> None:
        self.number = number
        self.devices = devices
        self.children: list[subprocess.Popen[str]] = []
        self.files: list[Path] = []

    def start(self, *train: str) -> Self:
        """Begins to train."""
        self.children, self.files = [], []
        meeting = ["--coordinator", f"127.0.0.1:{free_port()}", "--processes", str(self.number), "--index"]
        for index in range(self.number):
            self.files.append(folder() / f"output-{time.monotonic_ns()}.txt")
            several = [*meeting, str(index)] if self.number > 1 else []
            with open(self.files[-1], "w", encoding="utf-8") as output:
                child = subprocess.Popen(
                    [sys.executable, str(ROOT / "scripts" / "train.py"), *train, *several],
                    env=environment(JAX_NUM_CPU_DEVICES=str(self.devices), **COMPILED),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            self.children.append(child)
        return self

    def outputs(self) -> list[str]:
        """What each has said."""
        return [path.read_text(encoding="utf-8") for path in self.files]

    def wait(self) -> list[int]:
        """Waits for all to end; their exit codes."""
        return [child.wait(DEADLINE) for child in self.children]

    def waits_for(self, moment: Callable[[], bool]) -> None:
        """Waits for a moment that must come before any process ends."""
        deadline = time.monotonic() + DEADLINE
        while not moment():
            assert all(child.poll() is None for child in self.children), self.outputs()
            assert time.monotonic() < deadline, self.outputs()
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self.children:
            child.kill()
            child.wait()


def train_on(devices: int, name: str, *more: str, number: int = 1) -> Path:
    """Trains to the end; the run folder."""
    with Processes(number, devices=devices) as processes:
        assert processes.start(*arguments(name, *more)).wait() == [0] * number, processes.outputs()
    return run_of(name)


def send(child: subprocess.Popen[str], number: signal.Signals) -> None:
    """Sends a signal."""
    os.kill(child.pid, number)


def free_port() -> int:
    """A port of this machine that no one listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def checkpoint_files(run: Path, step: int) -> Sequence[str]:
    """The names of what a checkpoint consists of."""
    return sorted(path.name for path in (run / "checkpoints" / f"{step:09d}").iterdir())
