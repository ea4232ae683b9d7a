"""Steps that are not finite: found at their step; the run ends, skips them, or goes back and round them."""

import json
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_equal
from small import MARKED, SERIES, config, restore, result, rows, write

from seqmodels.cli import main
from seqmodels.tasks import Forecasting
from seqmodels.training.checkpoint import Checkpoints
from seqmodels.training.run_folder import RunFolder
from seqmodels.training.seeds import make_seeds
from seqmodels.training.step import make_step

pytestmark = pytest.mark.usefixtures("compiled")

MORE = pytest.mark.faults

STEPS = 12
SETTINGS = (
    f"run.steps={STEPS}",
    "run.log_every=4",
    "run.validate_every=6",
    "run.checkpoint_every=5",
    "run.keep_last=1",
)
SETTINGS += ("training.averaging={name='ema', decay=0.5}", "optimizer.learning_rate=0.01")
SKIP = "training.bad_steps={name='skip', limit=2}"
ROLLBACK = "training.bad_steps={name='rollback', limit=2, factor=0.25}"


@pytest.fixture
def spoil(monkeypatch):
    """Lets the batches of these steps hold an infinite number."""
    original = Forecasting.batches

    def spoil(*steps, stop_at=None):
        def batches(self, start):
            for step, batch in enumerate(original(self, start), start + 1):
                if step == stop_at:
                    signal.raise_signal(signal.SIGTERM)
                if step in steps:
                    batch.past[0, 0, 0] = np.inf
                yield batch

        monkeypatch.setattr(Forecasting, "batches", batches)

    return spoil


def train(folder, *settings):
    """Trains into a folder; a later setting is in place of an earlier one of its key."""
    folder.mkdir(exist_ok=True)
    path, *given = write(folder, SERIES)
    merged = dict(setting.split("=", 1) for setting in (*given, *SETTINGS, *settings) if "=" in setting)
    flags = [setting for setting in settings if "=" not in setting]
    return main(["train", path, *(f"{key}={value}" for key, value in merged.items()), *flags])


def begin(folder):
    """The functions of training, done by hand, and the state before the first step."""
    made = config(folder, *SETTINGS, toml=SERIES)
    task = Forecasting(made)
    step = make_step(task, made.optimizer.build(STEPS), seed=0, averaging=made.training.averaging)
    return task, jax.jit(step.update), jax.jit(step.init)(make_seeds(0).init)


def walk(folder, state, *, bad=(), scale=1):
    """The state and those after the steps that follow, these left out, by number."""
    task, update, _ = begin(folder)
    batches = task.batches(int(state.step))
    state = state.replace(scale=jnp.float32(scale))
    states = {int(state.step): state}
    for number in range(int(state.step) + 1, STEPS + 1):
        batch = next(batches)
        state = state.replace(step=state.step + 1) if number in bad else update(state, batch)
        states[number] = state
    return states


def assert_same_parameters(found, expected):
    for part in ("step", "params", "opt_state", "average", "scale"):
        assert_equal(getattr(found, part), getattr(expected, part))


def assert_same_run(run, whole):
    assert rows(run) == rows(whole)
    assert result(run) == result(whole)
    assert_equal(restore(run).tree, restore(whole).tree)


# ----------------------------------------------------------------------------------------------------------------- stop
@pytest.mark.parametrize("step", [8, *(pytest.param(step, marks=MORE) for step in (1, 6))])
def test_stop_ends_the_run_with_the_step_its_batch_and_the_state_before_it(step, tmp_path, spoil, capsys):
    """Seen at the next row only, of step 4 or 8; nothing of what was done since is kept."""
    spoil(step)
    assert train(tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    run = tmp_path / "runs" / "small"
    assert f"no longer finite at step {step}; its batch and the state before it are in {run / 'bad_step'}; " in line
    assert line.startswith("batch.past, loss, ")
    assert "optimizer.learning_rate" in line
    assert "'skip' or 'rollback'" in line
    about = json.loads((run / "bad_step" / "step.json").read_text())
    assert about["step"] == step
    assert about["not_finite"][:2] == ["batch.past", "loss"]
    assert any(name.startswith("gradient.") for name in about["not_finite"])
    task = Forecasting(config(tmp_path, toml=SERIES))
    assert about["batches"] == [task.origin(step - 1)]
    batch = np.load(run / "bad_step" / "batch.npz")
    assert np.isinf(batch["past"]).sum() == 1
    start = begin(tmp_path)[2]
    kept = Checkpoints(run / "bad_step").restore(start).tree
    assert int(kept.step) == step - 1
    assert_same_parameters(kept, walk(tmp_path, start)[step - 1])
    assert Checkpoints(run / "checkpoints").steps() == [saved for saved in (5, 6) if saved < step][-1:]
    assert [row["step"] for row in RunFolder(run).metrics.read()] == [shown for shown in (4, 6) if shown < step]
    assert not (run / "result.json").exists()


def test_batches_of_one_step_are_all_named(tmp_path, spoil):
    spoil(8)
    assert train(tmp_path, "training.accumulate=2", "run.log_every=1") == 2
    about = json.loads((tmp_path / "runs" / "small" / "bad_step" / "step.json").read_text())
    task = Forecasting(config(tmp_path, toml=SERIES))
    assert about["step"] == 4
    assert about["batches"] == [task.origin(6), task.origin(7)]


def test_a_run_that_ended_goes_on_when_it_may_skip(tmp_path, spoil, capsys):
    spoil(8)
    assert train(tmp_path) == 2
    assert train(tmp_path, "--resume") == 2
    assert train(tmp_path, SKIP, "--resume") == 0
    spoil(8)
    assert train(tmp_path, SKIP, "run.name=at_once") == 0
    assert rows(tmp_path / "runs" / "small")[1:] == rows(tmp_path / "runs" / "at_once")[1:]
    assert_same_parameters(*(restore(tmp_path / "runs" / name).tree for name in ("small", "at_once")))
    capsys.readouterr()


# ----------------------------------------------------------------------------------------------------------------- skip
def test_skip_leaves_the_steps_out_and_counts_them(tmp_path, spoil):
    spoil(2, 7, 8)
    assert train(tmp_path, SKIP) == 0
    run = tmp_path / "runs" / "small"
    assert [(row["step"], row["bad_steps"]) for row in rows(run) if "bad_steps" in row] == [(4, 1), (8, 2), (12, 0)]
    assert_same_parameters(restore(run).tree, walk(tmp_path, begin(tmp_path)[2], bad=(2, 7, 8))[STEPS])
    assert not (run / "bad_step").exists()


@MORE
def test_the_rate_of_a_row_is_that_of_its_last_update(tmp_path, spoil):
    """A schedule has a place for each update: of these eight steps three are none."""
    spoil(2, 7, 8)
    schedule = "optimizer.schedule={name='warmup_cosine', warmup_steps=7}"
    assert train(tmp_path, SKIP, schedule, "run.steps=8") == 0
    rates = [row["learning_rate"] for row in rows(tmp_path / "runs" / "small") if "bad_steps" in row]
    assert rates == pytest.approx([0.01 * 2 / 7, 0.01 * 4 / 7])


@MORE
def test_a_row_of_bad_steps_only_says_no_loss(tmp_path, spoil):
    spoil(5, 6)
    assert train(tmp_path, SKIP, "run.log_every=2") == 0
    row = next(row for row in rows(tmp_path / "runs" / "small") if row["step"] == 6)
    assert row["bad_steps"] == 2
    assert "train/mse" not in row
    assert "valid/mse" in row


def test_more_bad_steps_in_a_row_than_the_limit_end_the_run(tmp_path, spoil, capsys):
    spoil(1, 6, 7, 8)
    assert train(tmp_path, SKIP) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no longer finite at step 8" in line
    assert "training.bad_steps.limit=2 bad steps in a row" in line
    assert json.loads((tmp_path / "runs" / "small" / "bad_step" / "step.json").read_text())["step"] == 8


@pytest.mark.parametrize("stop_at", [8, *(pytest.param(step, marks=MORE) for step in (7, 9))])
def test_a_resumed_run_skips_as_one_that_was_not_stopped(stop_at, tmp_path, spoil):
    """Before, between and after two bad steps in a row."""
    spoil(7, 8)
    assert train(tmp_path / "whole", SKIP) == 0
    spoil(7, 8, stop_at=stop_at)
    assert train(tmp_path, SKIP) == 143
    spoil(7, 8)
    assert train(tmp_path, SKIP, "--resume") == 0
    assert_same_run(*(folder / "runs" / "small" for folder in (tmp_path, tmp_path / "whole")))


@MORE
def test_the_limit_counts_across_a_resume(tmp_path, spoil, capsys):
    spoil(6, 7, 8, stop_at=7)
    assert train(tmp_path, SKIP) == 143
    spoil(6, 7, 8)
    assert train(tmp_path, SKIP, "--resume") == 2
    assert "no longer finite at step 8" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------- rollback
def test_rollback_goes_back_and_round_the_step_with_a_lower_rate(tmp_path, spoil, capsys):
    spoil(8, 11)
    assert train(tmp_path, ROLLBACK) == 0
    output = capsys.readouterr().out
    for step, last, scale in ((8, 5, 0.25), (11, 10, 0.0625)):
        said = f"step {step} is not finite: back to step {last}, from where it is left out and the rate is multiplied"
        assert f"{said} by {scale}" in output
    run = tmp_path / "runs" / "small"
    first = walk(tmp_path, begin(tmp_path)[2])[5]
    middle = walk(tmp_path, first, bad=(8,), scale=0.25)[10]
    assert_same_parameters(restore(run).tree, walk(tmp_path, middle, bad=(11,), scale=0.0625)[STEPS])
    found = [row for row in rows(run) if "bad_steps" in row]
    assert [(row["step"], row["bad_steps"]) for row in found] == [(4, 0), (8, 1), (12, 1)]
    assert [row["learning_rate"] for row in found] == pytest.approx([0.01, 0.0025, 0.000625])
    assert [row["step"] for row in rows(run)] == [4, 6, 8, 12]


@MORE
def test_rollback_before_any_checkpoint_begins_anew(tmp_path, spoil):
    spoil(3)
    assert train(tmp_path, ROLLBACK) == 0
    run = tmp_path / "runs" / "small"
    assert rows(run)[0]["bad_steps"] == 1
    assert rows(run)[0]["learning_rate"] == pytest.approx(0.0025)


@MORE
def test_more_rollbacks_than_the_limit_end_the_run(tmp_path, spoil, capsys):
    spoil(6, 7, 8)
    assert train(tmp_path, ROLLBACK) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no longer finite at step 8" in line
    assert "training.bad_steps.limit=2 rollbacks" in line


@pytest.mark.parametrize("stops", [(7, 6), pytest.param((9,), marks=MORE)])
def test_a_resumed_run_rolls_back_as_one_that_was_not_stopped(stops, tmp_path, spoil):
    """The checkpoint of a stop at 7 is newer than the one that both go back to, and gone when the next stop is at 6."""
    spoil(8)
    assert train(tmp_path / "whole", ROLLBACK) == 0
    for step in stops:
        spoil(8, stop_at=step)
        assert train(tmp_path, ROLLBACK, "--resume") == 143
        assert Checkpoints(tmp_path / "runs" / "small" / "checkpoints").steps()[-1] == step
    spoil(8)
    assert train(tmp_path, ROLLBACK, "--resume") == 0
    assert_same_run(*(folder / "runs" / "small" for folder in (tmp_path, tmp_path / "whole")))


@MORE
def test_a_run_killed_right_after_going_back_goes_back_again(tmp_path, spoil):
    spoil(8)
    assert train(tmp_path, ROLLBACK) == 0
    whole = tmp_path / "runs" / "small"
    run = shutil.copytree(whole, tmp_path / "again" / "runs" / "small")
    (run / "result.json").unlink()
    shutil.rmtree(run / "checkpoints")
    assert train(tmp_path / "again", ROLLBACK, f"data.path={tmp_path / 'series.csv'}", "--resume") == 0
    assert_same_run(run, whole)


def test_trials_share_their_steps(tmp_path, capsys):
    assert main(["train", *write(tmp_path, MARKED), "task.trials=2", SKIP]) == 2
    assert "training.bad_steps.name must be 'stop'" in capsys.readouterr().err
