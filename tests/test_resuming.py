"""What may be another when a run goes on, what may not, and what is said and written down of it."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from small import ROOT, finished, rows, snapshot

from seqmodels.cli import main
from seqmodels.commands import resuming
from seqmodels.commands.resuming import MAY_CHANGE
from seqmodels.commands.trained_run import _alike
from seqmodels.tasks import LanguageModelling

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture
def run(tmp_path):
    """A run that was killed right before its end."""
    path = shutil.copytree(finished().path, tmp_path / "runs" / "small")
    (path / "result.json").unlink()
    return path


def resume(run, *assignments):
    config, data = finished().arguments
    given = [] if any(assignment.startswith("data.path=") for assignment in assignments) else [data]
    return main(["train", config, *given, f"run.dir={run.parent}", *assignments, "--resume"])


def test_the_rule_is_in_the_documents():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    rule = text[text.index("**What may be another when a run goes on") :].partition("\n\n**")[0]
    assert all(f"`{key}`" in rule for key in MAY_CHANGE)


@pytest.mark.parametrize(
    ("assignment", "line"),
    [
        ("run.keep_last=5", "run.keep_last was 2, now 5"),
        ("training.bad_steps.limit=3", "training.bad_steps.limit was 10, now 3"),
        ("devices.mesh.data=1", "devices.mesh.data was -1, now 1"),
    ],
)
def test_what_changes_no_number_may_be_another_and_is_said(assignment, line, run, capsys):
    assert resume(run, assignment) == 0
    assert line in capsys.readouterr().out.splitlines()
    key, value = assignment.split("=")
    table = tomllib.loads((run / "config.toml").read_text())
    for part in key.split("."):
        table = table[part]
    assert table == int(value)
    assert rows(run) == rows(finished().path)


@pytest.mark.parametrize(
    "assignment",
    [
        "data.batch_size=8",
        "data.unit=byte",
        "run.steps=20",
        "run.seed=1",
        "run.log_every=3",
        "model.cell.hidden_size=4",
    ],
)
def test_what_changes_numbers_may_not_be_another(assignment, run, capsys):
    before = snapshot(run)
    assert resume(run, assignment) == 2
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{run}: {assignment.partition('=')[0]} was ")
    assert "--resume needs the config it began with" in last
    assert snapshot(run) == before


def test_data_that_were_moved_are_compared_by_what_is_in_them(run, tmp_path, capsys):
    original = Path(finished().arguments[1].partition("=")[2])
    moved = tmp_path / "moved" / original.name
    moved.parent.mkdir()
    moved.write_bytes(original.read_bytes())
    assert resume(run, f"data.path={moved}") == 0
    assert f"data.path was {str(original)!r}, now {str(moved)!r}" in capsys.readouterr().out
    assert tomllib.loads((run / "config.toml").read_text())["data"]["path"] == str(moved)


def test_other_data_in_another_place_are_refused(run, tmp_path, capsys):
    original = Path(finished().arguments[1].partition("=")[2])
    other = tmp_path / original.name
    other.write_bytes(original.read_bytes().replace(b"cat", b"dog"))
    before = snapshot(run)
    assert resume(run, f"data.path={other}") == 2
    assert "is not the one this run was trained on" in capsys.readouterr().err
    assert snapshot(run) == before


def test_another_vocabulary_of_the_same_data_is_refused(run, monkeypatch, capsys):
    original = LanguageModelling.extra
    monkeypatch.setattr(LanguageModelling, "extra", lambda self: {**original(self), "vocabulary": {"unit": "char"}})
    before = snapshot(run)
    assert resume(run) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "makes another vocabulary of the text of text.txt than the run was trained with" in line
    assert snapshot(run) == before


def test_numbers_made_of_the_same_data_may_differ_in_their_last_digits():
    made = {"scaler": [[1.0, 2.5]], "names": ["a"]}
    assert _alike(made, {"scaler": [[1.0 + 1e-12, 2.5]], "names": ["a"]})
    for other in (
        {"scaler": [[1.001, 2.5]], "names": ["a"]},
        {"scaler": [[1.0]], "names": ["a"]},
        {"names": ["a"]},
        None,
    ):
        assert not _alike(made, other)
    assert not _alike({"names": ["a"]}, {"names": ["b"]})


def test_other_versions_are_said_and_written_down(run, monkeypatch, capsys):
    now = resuming.environment()
    monkeypatch.setattr(resuming, "environment", lambda: {**now, "jax": "99.0", "commit": "abc"})
    assert resume(run) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"jax was {now['jax']}, now 99.0" in lines
    assert "the numbers may differ in their last digits from those of a run that went on as it was" in lines
    first, second = json.loads((run / "environment.json").read_text())
    assert (first["from_step"], second["from_step"]) == (0, 12)
    assert (first["jax"], second["jax"]) == (now["jax"], "99.0")
    assert first["data_sha256"] == second["data_sha256"]


def test_a_key_that_is_newer_than_the_run_counts_as_its_default(run, capsys):
    path = run / "config.toml"
    text = path.read_text()
    without = text.replace("[training.bad_steps]", "[training.bad]").split("[training.bad]")
    after = without[1].partition("\n[")
    path.write_text(without[0] + after[1] + after[2])
    assert "bad_steps" not in path.read_text()
    assert resume(run) == 0
    assert "bad_steps" not in capsys.readouterr().out


def test_a_damaged_config_in_the_folder_is_told(run, capsys):
    (run / "config.toml").write_text("[run\n")
    assert resume(run) == 2
    assert f"{run / 'config.toml'}:1: not valid TOML" in capsys.readouterr().err
