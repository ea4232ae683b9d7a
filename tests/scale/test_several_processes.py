"""Two processes with two devices each, over TCP on this machine: they learn, stop, die and go on together."""

import shutil
import signal

import pytest
from clusters import (
    DEADLINE,
    STEPS,
    Processes,
    arguments,
    assert_same_losses,
    checkpoint_files,
    cut_back,
    losses,
    run_of,
    send,
    train_on,
)
from oracles import assert_equal
from small import restore, rows

from seqmodels.training.processes import LOST

SOON = 60
"""Seconds within which the other process ends: half a minute, and as much for a busy machine."""


@pytest.fixture(scope="module")
def whole():
    """The run of two processes to which nothing happens."""
    return train_on(2, "whole", number=2)


def test_two_processes_learn_what_one_does(whole):
    assert_same_losses(whole)
    assert checkpoint_files(whole, STEPS) == ["arrays-00000.safetensors", "arrays-00001.safetensors", "manifest.json"]


@pytest.mark.faults
def test_one_process_goes_on_with_what_two_began(whole):
    run = run_of("two_then_one")
    train_on(2, run.name, number=2)
    cut_back(run, 20)
    train_on(1, run.name, "--resume")
    assert_same_losses(run)
    cut_back(run, 30)
    train_on(2, run.name, "--resume", number=2)
    assert_same_losses(run)


@pytest.mark.parametrize(
    ("victim", "deadline"),
    [(1, DEADLINE), *(pytest.param(victim, SOON, marks=pytest.mark.faults) for victim in (0, 1))],
)
def test_when_one_is_killed_all_stop_and_a_restart_comes_to_the_same_end(whole, victim, deadline):
    run = run_of(f"killed_{victim}_{deadline}")
    other = 1 - victim
    with Processes(2, devices=2) as processes:
        processes.start(*arguments(run.name))
        processes.waits_for((run / "checkpoints" / "000000010").exists)
        send(processes.children[victim], signal.SIGKILL)
        mine = processes.children[other].wait(deadline)
        said = processes.outputs()[other]
        # XLA may wait on, if it was between two exchanges; then it is JAX that ends the process.
        assert mine in (LOST, -signal.SIGABRT), said
        if mine == LOST:
            assert f"process {other} of 2 stops; most likely another one has ended or is out of reach" in said
            assert said.endswith("what was saved is unharmed; start all of them again with --resume\n")
        else:
            assert "This most likely indicates that another task died" in said
    train_on(2, run.name, "--resume", number=2)
    assert rows(run) == rows(whole)
    assert_equal(restore(run).tree, restore(whole).tree)


@pytest.mark.faults
@pytest.mark.parametrize("moment", ["step 10/50", "step 25/50"])
def test_a_signal_to_one_stops_all_after_the_same_step(whole, moment):
    """Somewhere between two steps, and about a validation."""
    run = run_of(f"stopped_{moment[5:7]}")
    with Processes(2, devices=2) as processes:
        processes.start(*arguments(run.name))
        processes.waits_for(lambda: moment in processes.outputs()[0])
        send(processes.children[1], signal.SIGTERM)
        assert processes.wait() == [128 + signal.SIGTERM] * 2, processes.outputs()
        assert "stopped by SIGTERM at step" in processes.outputs()[0]
        assert "stopped by" not in processes.outputs()[1], "one of them speaks"
    train_on(2, run.name, "--resume", number=2)
    assert rows(run) == rows(whole)
    assert_equal(restore(run).tree, restore(whole).tree)


def test_what_one_process_is_refused_is_told_to_all(whole):
    before = losses(whole)
    run = shutil.copytree(whole, run_of("unfinished"))
    (run / "config.toml").write_text((run / "config.toml").read_text().replace(f'"{whole.name}"', f'"{run.name}"'))
    cut_back(run, 20)
    with Processes(2, devices=2) as processes:
        processes.start(*arguments(run.name))
        assert processes.wait() == [2, 2], processes.outputs()
        mine, others = (text.splitlines()[-1] for text in processes.outputs())
        assert "already holds a run" in mine
        assert others == f"process 0: {mine}"
    assert (losses(run) == before).all()


def take_away(run):
    run.rename(run.with_name("taken"))


def block(run):
    (run / "curves.png").mkdir()


@pytest.mark.faults
@pytest.mark.parametrize(
    ("harm", "words"), [(take_away, "its folder is gone"), (block, "curves.png cannot be written")]
)
def test_what_the_disk_refuses_to_the_one_that_writes_is_told_to_all(whole, harm, words):
    """At a row of metrics, and when the run is over."""
    run = run_of(harm.__name__)
    with Processes(2, devices=2) as processes:
        processes.start(*arguments(run.name))
        processes.waits_for((run / "checkpoints" / "000000010").exists)
        harm(run)
        assert processes.wait() == [2, 2], processes.outputs()
        mine, others = (text.splitlines()[-1] for text in processes.outputs())
        assert words in mine
        assert others == f"process 0: {mine}"


def test_the_model_is_not_shared_by_processes_on_cpus():
    with Processes(2, devices=2) as processes:
        processes.start(*arguments("crosswise", "devices.mesh.model=2"))
        assert processes.wait() == [2, 2]
        assert "devices.mesh.model: several processes on CPUs can share the batch" in processes.outputs()[0]
    assert not run_of("crosswise").exists()
