"""The trials of a sweep: what is drawn, who gets which, and what a storage keeps. Nothing is trained here."""

import contextlib
import itertools
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from small import environment

from seqmodels.errors import UserError
from seqmodels.sweeps.study import Study
from seqmodels.sweeps.tables import load
from seqmodels.sweeps.trials import ranked
from seqmodels.training.folder_lock import alone

SWEEP = """
[sweep]
config = "small.toml"
trials = 6
startup_trials = 2
[space]
optimizer.learning_rate = {low = 0.001, high = 1.0, log = true}
model.cell.hidden_size = {low = 2, high = 8, step = 2}
model.cell.name = {choices = ["rnn", "gru"]}
"""
CONFIG = "[run]\nsteps = 3\n"

WORKER = """
import sys, time
from pathlib import Path
from seqmodels.sweeps.study import Study
from seqmodels.sweeps.tables import load

study = Study(load(Path(sys.argv[1]), sys.argv[2:]), "")
print("ready", flush=True)
sys.stdin.readline()
while (claim := study.claim()) is not None:
    with claim:
        print(claim.number, flush=True)
        time.sleep(0.02)
        claim.complete("valid/loss_nats", float(claim.number), 3, 0.1)
"""


@pytest.fixture
def begin(tmp_path):
    """Opens the study of a sweep in a folder of its own, anew or again."""
    (tmp_path / "sweep.toml").write_text(SWEEP)

    def opened(*changes, config=CONFIG, name="sweep"):
        given = [f"sweep.dir={tmp_path}", f"sweep.name={name}", *changes]
        return Study(load(tmp_path / "sweep.toml", given), config)

    return opened


def loss(params):
    """Best near a learning rate of 0.03, with many units."""
    return abs(params["optimizer.learning_rate"] - 0.03) + 1 / params["model.cell.hidden_size"]


def work(study, number=None):
    """Runs so many trials as a worker does; returns what was drawn."""
    drawn = []
    while (number is None or len(drawn) < number) and (claim := study.claim()) is not None:
        with claim:
            drawn.append((claim.number, claim.params))
            claim.complete("valid/loss_nats", loss(claim.params), 3, 0.5)
    return drawn


def test_the_seed_decides_what_is_drawn(begin):
    first, again, other = (
        work(begin(f"sweep.seed={seed}", name=name)) for seed, name in ((1, "a"), (1, "b"), (2, "c"))
    )
    assert first == again
    assert [number for number, _ in first] == list(range(6))
    assert all(one != two for (_, one), (_, two) in zip(first, other, strict=True))
    for _, params in first:
        assert 0.001 <= params["optimizer.learning_rate"] <= 1.0
        assert params["model.cell.hidden_size"] in (2, 4, 6, 8)
        assert params["model.cell.name"] in ("rnn", "gru")


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_study_that_is_gone_on_with_draws_what_it_would_have_drawn(sampler, begin):
    whole = work(begin(f"sweep.sampler={sampler}", name="whole"))
    parts = [draw for _ in range(3) for draw in work(begin(f"sweep.sampler={sampler}", name="parts"), 2)]
    assert parts == whole
    assert len({json.dumps(params) for _, params in whole}) == 6


def test_more_trials_may_be_asked_for_later(begin):
    assert len(work(begin())) == 6
    assert work(begin()) == []
    assert [number for number, _ in work(begin("sweep.trials=8"))] == [6, 7]


def test_a_grid_has_every_combination_once(begin):
    rates = "space.optimizer.learning_rate={choices=[0.1, 0.01]}"
    everything = list(itertools.product([0.1, 0.01], [2, 4, 6, 8], ["rnn", "gru"]))
    for trials, expected in ((100, everything), (5, everything[:5])):
        drawn = work(begin("sweep.sampler=grid", rates, f"sweep.trials={trials}", name=f"grid of {trials}"))
        assert [tuple(params.values()) for _, params in drawn] == expected


def test_what_was_interrupted_is_given_out_first_and_unchanged(begin):
    study, other = begin(), begin()
    with study.claim() as first, other.claim() as second:
        assert (first.number, second.number) == (0, 1)
        assert first.report({1: 0.5}) is False
    with begin().claim() as again:  # neither was told how it ended
        assert (again.number, again.params) == (0, first.params)
        again.report({1: 0.5, 2: 0.4})
        again.complete("valid/loss_nats", 0.4, 3, 0.5)
    with study.claim() as claim:
        assert (claim.number, claim.params) == (1, second.params)
    assert [trial.state for trial in other.trials()] == ["complete", "running"]


def test_a_worker_killed_while_it_draws_loses_nothing(begin):
    study = begin()
    study._study.ask()  # a trial without values, whose folder nobody has locked
    whole = work(begin(name="whole"))
    assert work(study) == whole


def test_a_trial_of_a_worker_elsewhere_is_left_alone(begin, tmp_path):
    here = begin(f"sweep.storage=sqlite:///{tmp_path}/study.db")
    here._study.ask()  # as by a worker whose folder is on another machine
    with here.claim() as claim:
        assert claim.number == 1
    with begin(f"sweep.storage=sqlite:///{tmp_path}/study.db").claim() as claim:  # this one was given out from here
        assert claim.number == 1


def test_a_trial_worse_than_the_median_is_ended(begin):
    study = begin("sweep.startup_trials=2", "sweep.warmup_steps=3")
    for value in (1.0, 3.0):
        with study.claim() as claim:
            assert not claim.report({2: value, 4: value})
            claim.complete("valid/loss_nats", value, 4, 0.5)
    with study.claim() as claim:
        assert not claim.report({2: 9.0})  # before warmup_steps
        assert claim.report({2: 9.0, 4: 2.5})
        claim.prune()
    with study.claim() as claim:
        assert not claim.report({2: 9.0, 4: 1.5})
    pruned = study.trials()[2]
    assert (pruned.state, pruned.value) == ("pruned", 2.5)
    unending = begin("sweep.startup_trials=0", "sweep.pruner=none", name="none")
    for value in (1.0, 9.0):
        with unending.claim() as claim:
            assert not claim.report({4: value})
            claim.complete("valid/loss_nats", value, 4, 0.5)


def test_how_trials_end_is_kept(begin):
    study = begin("sweep.direction=maximize")
    ends = [
        lambda claim: claim.complete("valid/accuracy_percent", 70.0, 3, 0.5),
        lambda claim: claim.diverge("no number"),
        lambda claim: claim.fail("no file"),
        lambda claim: claim.complete("valid/accuracy_percent", 80.0, 3, 0.5),
    ]
    for end in ends:
        with study.claim() as claim:
            end(claim)
    found = begin("sweep.direction=maximize").trials()
    assert [trial.state for trial in found] == ["complete", "diverged", "failed", "complete"]
    assert [trial.reason for trial in found] == [None, "no number", "no file", None]
    assert [trial.number for trial in ranked(found, maximize=True)] == [3, 0]
    assert (found[0].objective, found[0].steps, found[0].seconds) == ("valid/accuracy_percent", 3, 0.5)


@pytest.mark.parametrize(
    ("change", "config", "fault"),
    [
        ("sweep.seed=3", CONFIG, "begun with another sweep: sweep.seed was 0, now 3; give back the old one, or choose"),
        ("space.model.cell.hidden_size.high=4", CONFIG, "space.model.cell.hidden_size.high was 8, now 4"),
        ("sweep.trials=7", "[run]\nsteps = 4", "begun with another config: run.steps was 3, now 4"),
    ],
)
def test_another_sweep_of_that_name_is_refused(change, config, fault, begin):
    begin()
    begin("sweep.trials=7")
    with pytest.raises(UserError, match=r"sweep\.toml: the sweep 'sweep' was ") as caught:
        begin(change, config=config)
    assert fault in caught.value.lines[0]


def test_a_journal_that_a_full_disk_cut_short_is_gone_on_with(begin, tmp_path):
    whole = work(begin(name="whole"))
    begun = work(begin(), 3)
    with open(tmp_path / "sweep" / "journal.jsonl", "a") as journal:
        journal.write('{"op_code": 5, "worker')
    assert begun + work(begin()) == whole


def test_a_folder_that_cannot_be_made_is_told(begin, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file: cannot be created: File exists; choose another sweep\.dir"):
        begin(name="file")


def test_a_damaged_journal_is_told(begin, tmp_path):
    work(begin(), 2)
    path = tmp_path / "sweep" / "journal.jsonl"
    path.write_text("nonsense\n" + path.read_text())
    with pytest.raises(UserError, match=r"journal\.jsonl is damaged: .*; remove .* or choose another sweep\.name"):
        begin()


@pytest.mark.parametrize(
    "url", ["nonsense", "postgresql://me:secret@127.0.0.1:9/none", f"sqlite:///{Path('/no/x.db')}"]
)
def test_a_database_that_cannot_be_opened_is_told_without_its_password(url, begin):
    with pytest.raises(UserError, match=r"sweep\.storage: the database .* cannot be opened: ") as caught:
        begin(f"sweep.storage={url}")
    assert "secret" not in str(caught.value)


def test_one_worker_at_a_time_is_given_a_trial(begin, tmp_path):
    study, given = begin(), []
    other = threading.Thread(target=lambda: given.append(study.claim()))
    with alone(tmp_path / "sweep"):
        other.start()
        other.join(0.2)
        assert not given
    other.join(30.0)
    assert given[0].number == 0


def test_two_workers_share_the_trials(begin, tmp_path):
    study = begin("sweep.trials=12", config="")
    command = [sys.executable, "-c", WORKER, str(tmp_path / "sweep.toml"), f"sweep.dir={tmp_path}", "sweep.trials=12"]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with study.claim() as claim, contextlib.ExitStack() as stack:  # a third one has a trial, and is not done with it
        workers = [stack.enter_context(subprocess.Popen(command, env=environment(), **streams)) for _ in range(2)]
        assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 2
        numbers = [sorted(map(int, worker.communicate("\n")[0].split())) for worker in workers]
    assert claim.number == 0
    assert sorted(numbers[0] + numbers[1]) == list(range(1, 12))
    assert [trial.state for trial in study.trials()] == ["running", *["complete"] * 11]
