"""`seqmodels sweep` as a user gives it: trials, their folders, what is shown, and what Ctrl-C leaves."""

import itertools
import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small import ROOT, SCHEMAS, environment, python, result, rows, snapshot, write

from seqmodels.cli import main
from seqmodels.commands import sweeping, training
from seqmodels.config import ConfigError, load
from seqmodels.errors import UserError
from seqmodels.tasks import LanguageModelling
from seqmodels.training.bad_steps import DivergedRun
from seqmodels.training.folder_lock import FolderInUseError, FolderLock
from seqmodels.training.memory import TooLargeError
from seqmodels.training.run_folder import RunFolder

SWEEP = """
[sweep]
config = "small.toml"
sampler = "grid"
startup_trials = 1
[set.run]
steps = 4
log_every = 2
validate_every = 2
[space]
optimizer.learning_rate = {choices = [0.02, 0.05, 1e-9]}
"""


@pytest.fixture
def given(tmp_path):
    """The arguments of a small sweep."""
    data = write(tmp_path)[1]
    (tmp_path / "small_sweep.toml").write_text(SWEEP)
    return ["sweep", str(tmp_path / "small_sweep.toml"), f"sweep.dir={tmp_path}", f"set.{data}"]


def interrupt(monkeypatch, place):
    """Sends the process Ctrl-C before the training batch of this number, counted over all trials."""
    original, numbers = LanguageModelling.batches, itertools.count()

    def batches(self, start):
        for batch in original(self, start):
            if next(numbers) == place:
                signal.raise_signal(signal.SIGINT)
            yield batch

    monkeypatch.setattr(LanguageModelling, "batches", batches)


def swept(folder):
    return json.loads((folder / "small_sweep" / "sweep.json").read_text())


def test_a_sweep_from_its_beginning_over_an_interruption_to_its_end(given, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "small_sweep"
    with monkeypatch.context() as patch:
        interrupt(patch, 6)  # in the third step of the second trial
        assert main(given) == 130
    output = capsys.readouterr().out
    assert "stopped by SIGINT; everything is saved. The same command goes on." in output
    assert "2 trials: 1 complete, 1 running" in output
    assert [trial["state"] for trial in swept(tmp_path)["trials"]] == ["complete", "running"]
    first = snapshot(folder / "trial_000")

    assert main(given) == 0
    output = capsys.readouterr().out
    assert "trial_000 of 3" not in output
    assert "resumed at step 3" in output
    assert "trial_002 is worse than the median of the trials before it, and was ended" in output
    assert snapshot(folder / "trial_000") == first
    assert [row["step"] for row in rows(folder / "trial_001")] == [2, 4]
    assert [row["step"] for row in rows(folder / "trial_002")] == [2]

    found = swept(tmp_path)
    assert [trial["state"] for trial in found["trials"]] == ["complete", "complete", "pruned"]
    values = [result(folder / f"trial_00{number}")["metrics"]["valid/bits_per_char"] for number in (0, 1)]
    assert [trial["value"] for trial in found["trials"][:2]] == values
    assert found["objective"] == "valid/bits_per_char"
    assert found["best"] == values.index(min(values))
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")
    table = output.splitlines()[output.splitlines().index("3 trials: 2 complete, 1 pruned") + 1 :][:3]
    assert table[0].split() == ["trial", "valid/bits_per_char", "optimizer.learning_rate", "steps", "seconds"]
    assert table[1].split()[:2] == [f"trial_00{found['best']}", f"{min(values):.5g}"]

    command = shlex.split(found["command"])
    assert command[:2] == ["seqmodels", "train"]
    best = load(folder / f"trial_00{found['best']}" / "config.toml", [], SCHEMAS)
    places = [f"run.dir={folder}", f"run.name=trial_00{found['best']}"]
    assert load(command[2], [*command[3:-1], *places], SCHEMAS) == best
    assert command[-1] == "run.name=small_sweep_best"

    everything = snapshot(folder)
    assert main(given) == 0
    assert "3 trials: 2 complete, 1 pruned" in capsys.readouterr().out
    assert snapshot(folder).keys() == everything.keys()


class Runs:
    """Stands for `training.run`: the runs' ends, in order; what is no number is raised."""

    def __init__(self, *ends):
        self.ends = iter(ends)

    def __call__(self, prepared, *, resume, after_validation):
        assert resume
        end = next(self.ends)
        if isinstance(end, Exception):
            raise end
        folder = Path(prepared.config.run.dir) / prepared.config.run.name
        result = {"metrics": {"valid/bits_per_char": end, "valid/loss_nats": -end}, "steps": 4, "seconds": 1.0}
        (folder / "result.json").write_text(json.dumps(result))


@pytest.fixture
def runs(monkeypatch):
    """Says how the trials shall end, without training them."""

    def say(*ends):
        monkeypatch.setattr(training, "run", Runs(*ends))

    return say


def test_a_trial_that_diverges_or_does_not_fit_is_told_and_the_next_one_begins(given, runs, tmp_path, capsys):
    runs(DivergedRun("loss_nats is no longer finite at step 2"), TooLargeError("the model does not fit"), 2.0)
    assert main(given) == 0
    output = capsys.readouterr().out
    assert "trial_000 diverged: loss_nats is no longer finite at step 2" in output
    assert "trial_001 failed: the model does not fit" in output
    assert "3 trials: 1 complete, 1 diverged, 1 failed" in output
    assert swept(tmp_path)["best"] == 2


def test_another_objective_may_be_searched_for(given, runs, tmp_path):
    runs(3.0, 1.0, 2.0)
    assert main([*given, "sweep.objective=valid/loss_nats"]) == 0
    assert swept(tmp_path)["best"] == 0
    runs(3.0, 1.0, 2.0)
    assert main([*given, "sweep.name=other", "sweep.direction=maximize"]) == 0
    assert json.loads((tmp_path / "other" / "sweep.json").read_text())["best"] == 0


def test_an_objective_that_is_not_measured_ends_the_sweep(given, runs, capsys):
    runs(3.0)
    assert main([*given, "sweep.objective=valid/accuracy"]) == 2
    assert "no 'valid/accuracy' is measured; there are valid/bits_per_char, valid/loss_nats" in capsys.readouterr().err


def test_what_can_be_mended_leaves_the_trial_to_be_gone_on_with(given, runs, capsys):
    runs(3.0, UserError("no room on the disk"))
    assert main(given) == 2
    assert capsys.readouterr().err == "no room on the disk\n"
    runs(2.0, 1.0)
    assert main(given) == 0
    assert "trial_001 of 3" in capsys.readouterr().out


def test_a_defect_keeps_its_traceback_and_the_trial_is_not_tried_again(given, runs, tmp_path, capsys):
    runs(3.0, RuntimeError("out of memory"))
    with pytest.raises(RuntimeError, match="out of memory"):
        main(given)
    runs(2.0)
    assert main(given) == 0
    assert "trial_001 failed: RuntimeError('out of memory')" in capsys.readouterr().out
    assert swept(tmp_path)["best"] == 2


def test_combinations_that_cannot_be_run_are_passed_over(given, runs, tmp_path, capsys):
    """Three in a row too."""
    sizes = "space.model.cell={hidden_size={choices=[6, 10, 8]}, heads={choices=[3, 4, 8, 2, 5]}}"
    cell = ["set.model.cell.name=slstm", sizes]
    with pytest.raises(ConfigError, match=r"heads must divide hidden_size \(got 5 and 6\)"):
        sweeping.check(sweeping.tables.load(tmp_path / "small_sweep.toml", cell))
    cell[1] = sizes.replace(", 5", "")
    rate = "space.optimizer.learning_rate={choices=[0.1]}"
    runs(3.0, 2.0, 1.0, 4.0, 5.0, 6.0)
    assert main([*given, *cell, rate]) == 0
    output = capsys.readouterr().out
    assert "12 trials: 6 complete, 6 failed" in output
    assert "heads must divide hidden_size (got 4 and 6)" in output


@pytest.mark.parametrize("trials", [2, 20])
def test_data_that_are_missing_end_the_sweep_and_lose_no_trial(trials, given, runs, tmp_path, capsys):
    seeds = "space.run.seed={low=1, high=9}"
    data = (tmp_path / "text.txt").rename(tmp_path / "elsewhere.txt")
    assert main([*given, seeds, f"sweep.trials={trials}"]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"{tmp_path / 'text.txt'}: there is no such file\n"
    assert captured.out.count(f" of {trials}: ") == min(trials, 3)
    data.rename(tmp_path / "text.txt")
    runs(*[1.0] * 4)
    assert main([*given, seeds, "sweep.trials=4"]) == 0
    assert "4 trials: 4 complete" in capsys.readouterr().out


def test_a_config_that_is_broken_meanwhile_ends_the_sweep_and_loses_none(given, runs, monkeypatch, tmp_path, capsys):
    def broken(prepared, **options):
        config.write_text(config.read_text() + "[trunk]\n")
        raise DivergedRun("no number")

    config = tmp_path / "small.toml"
    whole = config.read_text()
    monkeypatch.setattr(training, "run", broken)
    assert main(given) == 2
    assert "trunk" in capsys.readouterr().err
    config.write_text(whole)
    runs(2.0, 1.0)
    assert main(given) == 0
    assert "3 trials: 2 complete, 1 diverged" in capsys.readouterr().out


def test_workers_write_one_after_the_other(given, runs, monkeypatch):
    def write(folder, name, text):
        with pytest.raises(FolderInUseError):
            FolderLock(folder.path)
        original(folder, name, text)

    original = RunFolder.write_text
    monkeypatch.setattr(RunFolder, "write_text", write)
    runs(3.0, 2.0, 1.0)
    assert main(given) == 0


def test_no_trial_complete_is_a_fault(given, runs, capsys):
    runs(*[DivergedRun("no number")] * 3)
    assert main(given) == 2
    assert "no trial was completed" in capsys.readouterr().err


def test_faults_are_a_line_each_and_nothing_is_made(given, tmp_path, capsys):
    before = snapshot(tmp_path)
    assert main([*given, "space.optimizer.learning_rat={choices=[1.0]}", "set.run.stesp=3"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "optimizer.learning_rat: unknown key; did you mean 'learning_rate'?" in captured.err
    assert "run.stesp: unknown key; did you mean 'steps'?" in captured.err
    assert snapshot(tmp_path) == before


def test_without_optuna_it_says_what_to_install(given, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(given) == 2
    assert capsys.readouterr().err == 'a sweep needs a package more: pip install "seqmodels[sweep]"\n'


def test_the_keys_of_a_file_are_listed(given, capsys):
    assert main([*given, "--keys"]) == 0
    assert "space.KEY.choices" in capsys.readouterr().out


def test_optuna_is_imported_by_a_sweep_alone():
    done = python("-c", "import sys, seqmodels.commands; print('optuna' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


@pytest.mark.faults
@pytest.mark.parametrize("moment", [0.3, 0.6, 0.9])
def test_a_sweep_killed_at_any_moment_goes_on(moment, given, tmp_path):
    def start(name):
        command = [sys.executable, str(ROOT / "scripts" / "sweep.py"), *given[1:], f"sweep.name={name}"]
        return subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, cwd=tmp_path)

    began = time.monotonic()
    assert start("whole").wait() == 0
    took = time.monotonic() - began
    killed = start("killed")
    time.sleep(moment * took)
    killed.kill()
    killed.wait()
    assert start("killed").wait() == 0
    for number in range(3):
        whole, again = (tmp_path / name / f"trial_00{number}" for name in ("whole", "killed"))
        assert rows(whole) == rows(again)
    found = [json.loads((tmp_path / name / "sweep.json").read_text()) for name in ("whole", "killed")]
    trials = [[(t["state"], t["params"], t["value"]) for t in each["trials"]] for each in found]
    assert trials[0] == trials[1]
