"""Disks that are full, closed to writing, or gone: one line, exit code 2, and the last good checkpoint stays."""

import contextlib
import random
import subprocess
import sys

import pytest
from processes import TrainingRun, assert_nothing_lost, has_saved, whole
from small import restore

resource = pytest.importorskip("resource", reason="this system sets no limits of a process")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sets limits of another process, and mounts")

LARGE = 6_000
"""Bytes: more than any other file of the run has when it is set, less than a checkpoint's largest."""


def fails(run):
    """Waits for the end; returns the one line that the process leaves."""
    assert run.wait() == 2, run.errors
    (line,) = run.errors
    return line


def test_files_that_may_not_grow(tmp_path):
    whole()
    with TrainingRun(tmp_path) as run:
        run.start()
        run.waits_for(has_saved(4))
        resource.prlimit(run.child.pid, resource.RLIMIT_FSIZE, (LARGE, LARGE))
        line = fails(run)
        assert line.startswith("cannot save the checkpoint of step ")
        assert line.endswith("make room on the disk or make it writable, then resume from the last checkpoint")
        assert run.newest >= 4
        assert_nothing_lost(run.path)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte, of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a disk")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.faults
def test_a_full_disk(small_disk, tmp_path):
    whole()
    with TrainingRun(tmp_path, f"run.dir={small_disk}") as run:
        run.start()
        run.waits_for(has_saved(4))
        with open(small_disk / "others", "wb", buffering=0) as others:
            while True:
                try:
                    others.write(b"0" * 4096)
                except OSError:
                    break
        line = fails(run)
        assert "cannot " in line
        assert "make room" in line
        assert_nothing_lost(run.path)
        (small_disk / "others").unlink()
        run.finish()


@pytest.mark.faults
def test_a_run_folder_closed_to_writing(small_disk, tmp_path):
    whole()
    with TrainingRun(tmp_path, f"run.dir={small_disk}") as run:
        run.start()
        run.waits_for(has_saved(4))
        run.kill()
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        run.start("--resume")
        line = fails(run)
        assert f"{run.path}" in line
        assert "Read-only file system" in line
        assert "make it writable" in line
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
        run.finish()


@pytest.mark.parametrize("every", [1000, pytest.param(1, marks=pytest.mark.faults)])
def test_a_folder_taken_away(every, tmp_path):
    """A row or, where there are none, a checkpoint is the first that has no place; none is made for it."""
    with TrainingRun(tmp_path, f"run.log_every={every}", f"run.validate_every={every}") as run:
        run.start()
        run.waits_for(has_saved(4))
        taken = run.path.rename(tmp_path / "taken")
        line = fails(run)
        assert line.startswith("cannot ")
        assert line.endswith("its folder is gone; was the run folder deleted or moved?")
        assert not run.path.exists()
        restored = restore(taken)
        assert restored.skipped == ()
        assert restored.step >= 4


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(6))
def test_files_taken_away_one_by_one(seed, tmp_path):
    """In any order, and again when they come back, until the folder is gone or the run has ended."""
    draw = random.Random(seed)
    with TrainingRun(tmp_path, "run.steps=100000") as run:
        run.start()
        run.waits_for(has_saved(4))
        while run.child.poll() is None and run.path.exists():
            places = sorted(run.path.rglob("*"), key=lambda path: (path.is_dir(), draw.random()))
            for place in places:
                with contextlib.suppress(OSError):
                    place.rmdir() if place.is_dir() else place.unlink()
            with contextlib.suppress(OSError):
                run.path.rmdir()
        line = fails(run)
        assert line.startswith("cannot ")
        assert "was the run folder deleted or moved?" in line or "then resume from the last checkpoint" in line, line
