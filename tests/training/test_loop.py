"""Runs from their first to their last step, whole, stopped and killed: what they leave behind is the same."""

import itertools
import json
import math
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from oracles import assert_equal
from small import FULL, PLAIN, ROOT, environment, finished, restore, result, rows, snapshot, write

from seqmodels.cli import main
from seqmodels.commands import training
from seqmodels.tasks import LanguageModelling
from seqmodels.training import piece_store
from seqmodels.training.checkpoint import Checkpoints
from seqmodels.training.loop import Loop

STEPS = 12

pytestmark = pytest.mark.usefixtures("compiled")

KILLED_AT_ONCE = textwrap.dedent("""
    import signal, sys
    from seqmodels.cli import main
    from seqmodels.tasks import LanguageModelling

    original = LanguageModelling.batches

    def batches(self, start):
        for number, batch in enumerate(original(self, start)):
            if number == 14:
                print("two signals", flush=True)
                signal.raise_signal(signal.SIGINT)  # noted
                signal.raise_signal(signal.SIGINT)  # leaves
                print("still there", flush=True)
            yield batch

    LanguageModelling.batches = batches
    sys.exit(main(sys.argv[1:]))
""")


def stop_before(monkeypatch, step, number):
    """Sends the process a signal between the last step and `step`; FULL reads two batches a step."""
    original = LanguageModelling.batches

    def batches(self, start):
        for place, batch in enumerate(original(self, start), start):
            if place == 2 * (step - 1):
                signal.raise_signal(number)
            yield batch

    monkeypatch.setattr(LanguageModelling, "batches", batches)


def stop_evaluation(monkeypatch, wanted, number):
    """Sends the process a signal in the middle of an evaluation of a split; returns what is read after that."""
    original, late = LanguageModelling.evaluation, []

    def evaluation(self, params, split):
        carry, batches = original(self, params, split)
        return carry, interrupted(batches) if split == wanted else batches

    def interrupted(batches):
        for place, batch in enumerate(batches):
            if place == 1:
                signal.raise_signal(number)
            elif place > 1:
                late.append(place)
            yield batch

    monkeypatch.setattr(LanguageModelling, "evaluation", evaluation)
    return late


def assert_same_run(run, whole=None):
    """Bitwise the same parameters, rows, texts and result as a run that was never stopped."""
    whole = whole or finished().path
    assert rows(run) == rows(whole)
    assert (run / "samples.txt").read_bytes() == (whole / "samples.txt").read_bytes()
    assert result(run) == result(whole)
    expected, found = restore(whole), restore(run)
    assert found.step == expected.step == result(whole)["steps"]
    assert_equal(found.tree, expected.tree)
    assert found.extra["watch"] == expected.extra["watch"]


# ---------------------------------------------------------------------------------------------------- what a run leaves
def test_what_a_run_leaves():
    run = finished().path
    names = {path.name for path in run.iterdir()}
    assert names == {
        *(".lock", "config.toml", "environment.json", "metrics.jsonl", "result.json", "samples.txt", "curves.png"),
        "checkpoints",
    }
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_rows_of_metrics():
    found = [json.loads(line) for line in (finished().path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in found] == [2, 4, 6, 8, 10, 12]
    for row in found:
        assert {"train/loss_nats", "train/bits_per_char", "grad_norm", "learning_rate"} < set(row)
        assert ("valid/bits_per_char" in row) == (row["step"] % 4 == 0)
        assert row["train/bits_per_char"] == pytest.approx(row["train/loss_nats"] / math.log(2))
    assert all(row["train/tokens_per_s"] > 0 for row in found[1:])


def test_the_plateau_is_reached_and_lowers_the_rate():
    """Else the resumed runs below would not show that its state is kept."""
    rates = [row["learning_rate"] for row in rows(finished().path)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[-1] <= 0.01 + 1e-9


def test_the_result():
    found = json.loads((finished().path / "result.json").read_text())
    assert set(found) >= {"task", "config", "steps", "seconds", "metrics", "baselines"}
    assert (found["task"], found["config"], found["steps"]) == ("language_modelling", "small", STEPS)
    assert found["seconds"] > 0
    assert set(found["metrics"]) == {
        f"{split}/{name}" for split in ("valid", "test") for name in ("loss_nats", "bits_per_char")
    }
    assert set(found["baselines"]) == {"valid/bits_per_char", "test/bits_per_char"}
    for baselines in found["baselines"].values():
        assert set(baselines) == {"unigram", "gzip", "bz2", "xz"}


def test_the_result_is_that_of_the_best_validation():
    run = finished().path
    best = min(row["valid/bits_per_char"] for row in rows(run) if "valid/bits_per_char" in row)
    assert result(run)["metrics"]["valid/bits_per_char"] == best


def test_a_row_is_the_mean_of_the_steps_since_the_last(tmp_path):
    arguments = ["train", *write(tmp_path, PLAIN), "run.steps=6", "run.validate_every=2"]
    assert main([*arguments, "run.name=each", "run.log_every=1"]) == 0
    assert main([*arguments, "run.name=third", "run.log_every=3"]) == 0
    each = [row for row in rows(tmp_path / "runs" / "each") if "train/loss_nats" in row]
    third = [row for row in rows(tmp_path / "runs" / "third") if "train/loss_nats" in row]
    assert [row["step"] for row in third] == [3, 6]
    for row, steps in zip(third, (each[:3], each[3:]), strict=True):
        for name in ("train/loss_nats", "grad_norm"):
            assert row[name] == pytest.approx(np.mean([step[name] for step in steps]), rel=1e-5)


def test_texts_before_and_after_training():
    text = (finished().path / "samples.txt").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("===")] == [
        f"=== step {step} ===" for step in (0, 4, 8, 12)
    ]
    first, *_, last = text.split("=== step ")[1:]
    assert len(first) >= 40
    assert first.partition("\n")[2] != last.partition("\n")[2]


def test_the_progress_tells_what_happens():
    output = finished().output
    for words in ("text.txt:", "parameters", "first step", "step 2/12", "validation", "sample", "gzip", "xz"):
        assert words in output


def test_checkpoints_are_the_best_and_the_last_two():
    steps = sorted(int(path.name) for path in (finished().path / "checkpoints").iterdir() if path.name.isdecimal())
    assert steps[-1] == STEPS
    assert 2 <= len(steps) <= 3


def test_the_resolved_config_trains_the_same_run(tmp_path):
    assert main(["train", str(finished().path / "config.toml"), f"run.dir={tmp_path}"]) == 0
    assert_same_run(tmp_path / "small")


# ------------------------------------------------------------------------------------------------- stopped and going on
@pytest.mark.parametrize(("step", "number", "code"), [(4, signal.SIGINT, 130), (9, signal.SIGTERM, 143)])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(step, number, code, tmp_path, monkeypatch, capsys):
    loops = []

    def recorded(*arguments):
        loops.append(Loop(*arguments))
        return loops[-1]

    finished()  # before loops are recorded
    monkeypatch.setattr(training, "Loop", recorded)
    arguments = ["train", *write(tmp_path, FULL)]
    monkeypatch.setattr(sys, "argv", ["scripts/train.py", *arguments[1:]])
    with monkeypatch.context() as patched:
        stop_before(patched, step, number)
        assert main(arguments) == code
    output = capsys.readouterr().out
    assert f"stopped by {number.name} at step {step}" in output
    run = tmp_path / "runs" / "small"
    assert restore(run).step == step
    assert rows(run)[-1]["step"] < step, "a row that is due with a validation waits as long as that"
    assert not (run / "result.json").exists()
    command = output.strip().splitlines()[-1].strip()
    assert shlex.split(command) == ["python", "scripts/train.py", *arguments[1:], "--resume"]
    assert main([*arguments, "--resume"]) == 0
    assert f"resumed at step {step}" in capsys.readouterr().out
    # Rows, validations, a plateau, checkpoints and a resume: one compilation in each loop.
    assert [loop.update._cache_size() for loop in loops] == [1, 1]
    assert_same_run(run)


def test_a_signal_does_not_wait_for_an_evaluation(tmp_path, monkeypatch, capsys):
    """In a validation, in the same one of the resumed run, in the last one, and in the test of the best checkpoint."""
    arguments = ["train", *write(tmp_path, FULL)]
    run = tmp_path / "runs" / "small"
    for split, step, lasts, number in (
        ("valid", 4, False, signal.SIGTERM),
        ("valid", 4, False, signal.SIGINT),
        ("test", 12, True, signal.SIGTERM),
    ):
        with monkeypatch.context() as patched:
            late = stop_evaluation(patched, split, number)
            assert main([*arguments, "--resume"]) == 128 + number
        assert late == [], "batches that were read after the signal"
        assert f"stopped by {number.name} at step {step}" in capsys.readouterr().out
        assert restore(run).step == step
        assert (rows(run)[-1]["step"] == step) == lasts
        assert not (run / "result.json").exists()
    assert main([*arguments, "--resume"]) == 0
    assert_same_run(run)


def test_what_was_done_since_a_stop_before_a_validation_is_not_done_twice(tmp_path, monkeypatch):
    """The run is stopped where its last validation is due, goes on, and is killed before the checkpoint of that."""
    arguments = ["train", *write(tmp_path, FULL)]
    run = tmp_path / "runs" / "small"
    with monkeypatch.context() as patched:
        stop_before(patched, STEPS, signal.SIGTERM)
        assert main(arguments) == 143
    stopped = shutil.copytree(run / "checkpoints", tmp_path / "stopped")
    assert main([*arguments, "--resume"]) == 0
    (run / "result.json").unlink()
    shutil.rmtree(run / "checkpoints")
    shutil.copytree(stopped, run / "checkpoints")
    assert main([*arguments, "--resume"]) == 0
    assert_same_run(run)


def test_a_run_killed_at_any_moment_goes_on_as_if_it_had_not_been(tmp_path, compiled):
    arguments = write(tmp_path, FULL)
    run = tmp_path / "runs" / "small"
    leaving = subprocess.run(
        [sys.executable, "-c", KILLED_AT_ONCE, "train", *arguments],
        env=environment(**compiled),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert leaving.returncode == -signal.SIGINT, leaving.stderr
    assert "two signals" in leaving.stdout
    assert "still there" not in leaving.stdout
    moments = random.Random()
    seed = moments.randrange(1000)
    moments.seed(seed)
    for _ in range(2):
        wanted, delay = moments.randint(1, 12), moments.uniform(0.0, 0.2)
        child = subprocess.Popen(
            [sys.executable, str(ROOT / "scripts" / "train.py"), *arguments, "--resume"],
            env=environment(**compiled),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with child:
            for _ in range(wanted):
                child.stdout.readline()
            time.sleep(delay)
            child.kill()
    assert main(["train", *arguments, "--resume"]) == 0, f"seed {seed}"
    assert_same_run(run)


def test_the_printed_command_goes_on(tmp_path, compiled):
    arguments = write(tmp_path, FULL)
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "train.py"), *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        for line in child.stdout:
            if line.startswith("sample after step 0"):
                break
        child.send_signal(signal.SIGTERM)  # while the step is compiled
        output, errors = child.communicate(timeout=300)
    assert child.returncode == 143, errors
    assert errors == ""
    start, *rest = shlex.split(output.strip().splitlines()[-1])
    assert start == "python"
    again = subprocess.run(
        [sys.executable, *rest], env=environment(**compiled), capture_output=True, timeout=300, check=False
    )
    assert again.returncode == 0, again.stderr
    assert_same_run(tmp_path / "runs" / "small")


def test_rows_and_texts_past_the_last_checkpoint_are_taken_back(tmp_path):
    run = shutil.copytree(finished().path, tmp_path / "small")
    kept = sorted(path for path in (run / "checkpoints").iterdir() if path.name.isdecimal())
    shutil.rmtree(kept[-1])
    (run / "result.json").unlink()
    with open(run / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 13, "train/lo')  # torn
    assert main(["train", *finished().arguments, f"run.dir={tmp_path}", "--resume"]) == 0
    assert_same_run(run)


def test_a_resume_without_a_checkpoint_begins_at_the_beginning(tmp_path):
    run = shutil.copytree(finished().path, tmp_path / "small")
    shutil.rmtree(run / "checkpoints")
    (run / "result.json").unlink()
    assert main(["train", *finished().arguments, f"run.dir={tmp_path}", "--resume"]) == 0
    assert_same_run(run)


def test_an_average_that_begins_by_itself_begins_in_a_resumed_run_too(tmp_path, capsys):
    """Cut back to before it began, when only the scores say so, and to after."""
    arguments = ["train", *write(tmp_path, PLAIN), "run.steps=14", "run.validate_every=2", "run.checkpoint_every=2"]
    arguments += ["training.averaging={name='nt_asgd', patience=1}", "run.keep_last=9", "optimizer.learning_rate=0.3"]
    arguments += ["sample.length=9"]
    assert main(arguments) == 0
    whole = tmp_path / "runs" / "small"
    start = restore(whole).extra["watch"]["averaging"]["start"]
    assert f"averaging begins after step {start}" in capsys.readouterr().out
    assert 4 < start < 12, "choose other numbers: there must be validations before and after"
    for step in (start - 2, start, start + 2):
        state = restore(whole, step).tree
        moved = any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (state.result, state.params)), strict=True))
        assert moved == (step > start)
    for kept in (start - 2, start, start + 2):
        run = shutil.copytree(whole, tmp_path / str(kept) / "small")
        (run / "result.json").unlink()
        for path in (run / "checkpoints").iterdir():
            if path.name.isdecimal() and int(path.name) > kept:
                shutil.rmtree(path)
        given = [argument for argument in arguments if not argument.startswith("run.dir=")]
        assert main([*given, f"run.dir={run.parent}", "--resume"]) == 0
        assert f"resumed at step {kept}" in capsys.readouterr().out
        assert_same_run(run, whole)


def test_resume_with_nothing_there_begins(tmp_path):
    arguments = [*write(tmp_path, PLAIN), "--resume"]
    assert main(["train", *arguments]) == 0
    assert (tmp_path / "runs" / "small" / "result.json").exists()


def test_a_finished_run_says_so_and_stays_as_it_is(capsys):
    before = snapshot(finished().path)
    assert main(["train", *finished().arguments, f"run.dir={finished().path.parent}", "--resume"]) == 0
    assert capsys.readouterr().out == f"the run in {finished().path} is finished: see {finished().path}/result.json\n"
    assert snapshot(finished().path) == before
    longer = [*finished().arguments, f"run.dir={finished().path.parent}", "run.steps=20", "--resume"]
    assert main(["train", *longer]) == 2
    assert f"{finished().path}: run.steps was 12, now 20" in capsys.readouterr().err
    assert snapshot(finished().path) == before


def test_a_folder_with_a_run_is_refused(capsys):
    before = snapshot(finished().path)
    assert main(["train", *finished().arguments, f"run.dir={finished().path.parent}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(finished().path) in line
    assert "--resume" in line
    assert "--overwrite" in line
    assert snapshot(finished().path) == before


def test_overwrite_begins_anew(tmp_path):
    run = shutil.copytree(finished().path, tmp_path / "small")
    (run / "notes.md").write_text("mine")
    arguments = [*write(tmp_path, PLAIN)[:2], f"run.dir={tmp_path}"]
    assert main(["train", *arguments, "--overwrite"]) == 0
    assert result(run)["steps"] == 2
    assert [row["step"] for row in rows(run)] == [2]
    assert not (run / "samples.txt").exists()
    assert (run / "notes.md").read_text() == "mine"


def unfinished(folder):
    """A copy of the finished run, as if it had been killed at its end."""
    run = shutil.copytree(finished().path, folder / "small")
    (run / "result.json").unlink()
    return run, ["train", *finished().arguments, f"run.dir={folder}", "--resume"]


def test_a_changed_config_is_refused_with_the_keys(tmp_path, capsys):
    run, arguments = unfinished(tmp_path)
    before = snapshot(run)
    assert main([*arguments[:-1], "optimizer.learning_rate=0.5", "model.cell.hidden_size=9", "--resume"]) == 2
    first, second, last = capsys.readouterr().err.splitlines()
    assert first == f"{run}: model.cell.hidden_size was 8, now 9"
    assert second == f"{run}: optimizer.learning_rate was 0.02, now 0.5"
    assert "--resume" in last
    assert snapshot(run) == before


def test_changed_data_are_refused(tmp_path, capsys):
    run, arguments = unfinished(tmp_path)
    before = snapshot(run)
    text = Path(finished().arguments[1].partition("=")[2])
    original = text.read_bytes()
    text.write_bytes(original.replace(b"cat", b"dog"))
    try:
        assert main(arguments) == 2
    finally:
        text.write_bytes(original)
    (line,) = capsys.readouterr().err.splitlines()
    assert "text.txt is not the one this run was trained on" in line
    assert snapshot(run) == before


# ------------------------------------------------------------------------------------------------- what is not a number
def diverge(folder, *assignments):
    arguments = write(folder, PLAIN)
    settings = ["model.cell.activation=relu", "optimizer.name=sgd", "optimizer.clip_norm=none", "run.log_every=1"]
    return main(["train", *arguments, *settings, *assignments])


def test_a_loss_that_is_not_a_number_ends_the_run_and_spares_the_checkpoints(tmp_path, capsys):
    code = diverge(tmp_path, "run.steps=30", "run.checkpoint_every=1", "optimizer.learning_rate=1e12")
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no longer finite at step" in line
    assert "optimizer.learning_rate" in line
    run = tmp_path / "runs" / "small"
    assert not (run / "result.json").exists()
    for leaf in jax.tree.leaves(restore(run).tree):
        assert np.all(np.isfinite(leaf))


def test_a_step_too_large_for_float32_is_not_saved(tmp_path, capsys):
    """The loss and the gradient of step 1 are finite; the parameters that it makes are not."""
    large = ["task.loss=sum_over_time", "optimizer.learning_rate=3e38"]
    assert diverge(tmp_path, "run.steps=30", "run.checkpoint_every=1", *large) == 2
    assert "no longer finite" in capsys.readouterr().err
    checkpoints = tmp_path / "runs" / "small" / "checkpoints"
    for path in checkpoints.iterdir() if checkpoints.exists() else ():
        for leaf in jax.tree.leaves(restore(tmp_path / "runs" / "small", int(path.name)).tree.params):
            assert np.all(np.isfinite(leaf))


def test_a_validation_that_is_not_a_number_is_no_success(tmp_path, capsys):
    """The last step's own loss, measured before its update, is finite; what the run came to is not."""
    assert diverge(tmp_path, "run.steps=1", "optimizer.learning_rate=1e30") == 2
    assert "no longer finite" in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------------- other endings
def test_early_stopping_ends_the_run_before_its_last_step(tmp_path, capsys):
    settings = ["run.steps=50", "run.validate_every=2", "training.early_stopping.patience=2"]
    stubborn = "training.early_stopping.least_gain=100.0"
    assert main(["train", *write(tmp_path, PLAIN), *settings, stubborn]) == 0
    run = tmp_path / "runs" / "small"
    # The first validation is a gain over nothing, the next two are none.
    assert max(row["step"] for row in rows(run)) == 6
    assert result(run)["steps"] == 6
    assert "stopped early" in capsys.readouterr().out


def fail_saves(monkeypatch, failing):
    """Lets certain checkpoints, counted from 0, meet a full disk."""
    original, saves = piece_store.write_arrays, itertools.count()

    def write_arrays(*arguments):
        if next(saves) in failing:
            raise OSError(28, os.strerror(28))
        original(*arguments)

    monkeypatch.setattr(piece_store, "write_arrays", write_arrays)


def test_where_it_is_asked_for_a_run_goes_on_without_a_checkpoint(tmp_path, monkeypatch, capsys):
    fail_saves(monkeypatch, {1})
    assert main(["train", *write(tmp_path, FULL), "run.on_failed_save=go_on"]) == 0
    said = "training goes on without a checkpoint (run.on_failed_save): cannot save the checkpoint of step 5 in "
    assert said in capsys.readouterr().out
    assert_same_run(tmp_path / "runs" / "small")


@pytest.mark.parametrize(("failing", "code"), [({0}, 0), ({0, 1}, 2)])
def test_the_last_checkpoint_must_succeed(failing, code, tmp_path, monkeypatch, capsys):
    """Here the first is the only one that is due before the run is stopped early, since nothing is gained."""
    fail_saves(monkeypatch, failing)
    settings = ["run.steps=50", "run.validate_every=2", "training.early_stopping={patience=2, least_gain=100.0}"]
    settings += ["optimizer.name=sgd", "optimizer.learning_rate=1e-30", "run.on_failed_save=go_on"]
    assert main(["train", *write(tmp_path, PLAIN), *settings]) == code
    assert "No space left on device" in capsys.readouterr()[code // 2]
    assert Checkpoints(tmp_path / "runs" / "small" / "checkpoints").steps() == ([] if code else [6])


@pytest.mark.parametrize("settings", [[], ["run.on_failed_save=go_on", "run.steps=6", "run.checkpoint_every=2"]])
def test_else_it_stops(settings, tmp_path, monkeypatch, capsys):
    """At once, or, where it is to go on, at a signal: nobody is told that all is saved."""
    fail_saves(monkeypatch, {0})
    if settings:
        stop_before(monkeypatch, 1, signal.SIGTERM)
    assert main(["train", *write(tmp_path, PLAIN), *settings]) == 2
    output, errors = capsys.readouterr()
    assert "No space left on device" in errors
    assert "everything is saved" not in output
