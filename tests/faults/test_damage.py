"""Damaged checkpoints: noticed before a step is taken, passed over for an older one, and said so."""

import functools
import random
import shutil

import jax
import pytest
from oracles import assert_equal
from small import finished, restore, result, rows, snapshot

from seqmodels.cli import main
from seqmodels.training.checkpoint import Checkpoints


def files(checkpoint):
    return sorted(path for path in checkpoint.rglob("*") if path.is_file())


def checkpoints_of(run):
    """The folders of its checkpoints, the newest first."""
    return sorted((path for path in (run / "checkpoints").iterdir() if path.name.isdecimal()), reverse=True)


@functools.cache
def shapes():
    """Those of the state that is saved."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), restore(finished().path).tree)


@pytest.fixture
def run(tmp_path):
    """A run that was killed right before its end, to be damaged."""
    path = shutil.copytree(finished().path, tmp_path / "small")
    (path / "result.json").unlink()
    return path


def truncate(data):
    return data[: len(data) // 2]


def shorten(data):
    return data[:-1]


def empty(data):
    return b""


def extend(data):
    return data + b"\0"


DAMAGES = (truncate, empty, shorten, extend)


def assert_noticed(run, damaged):
    """The newest checkpoint is passed over and named; that before it is read."""
    newest, older, *_ = checkpoints_of(run)
    restored = Checkpoints(run / "checkpoints").restore(shapes())
    (line,) = restored.skipped
    assert line.startswith(f"checkpoint {newest} is damaged: ")
    assert damaged in line
    assert restored.step == int(older.name)


def test_any_file_truncated_emptied_or_deleted_is_noticed(run):
    newest = checkpoints_of(run)[0]
    for path in files(newest):
        data, name = path.read_bytes(), path.relative_to(newest).as_posix()
        for damage in DAMAGES:
            if damage(data) != data:
                path.write_bytes(damage(data))
                assert_noticed(run, name)
        path.unlink()
        assert_noticed(run, name)
        path.write_bytes(data)
    assert Checkpoints(run / "checkpoints").restore(shapes()).skipped == ()


@pytest.mark.parametrize("tries", [20, pytest.param(200, marks=pytest.mark.faults)])
def test_any_flipped_bit_is_noticed(run, tries):
    draw = random.Random(tries)
    newest = checkpoints_of(run)[0]
    for _ in range(tries):
        path = draw.choice([path for path in files(newest) if path.stat().st_size])
        data = path.read_bytes()
        place, bit = draw.randrange(len(data)), draw.randrange(8)
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
        assert_noticed(run, path.relative_to(newest).as_posix())
        path.write_bytes(data)
    assert Checkpoints(run / "checkpoints").restore(shapes()).skipped == ()


def damage_one_file(checkpoint):
    """Flips a bit in the largest file of the arrays."""
    path = max(
        (path for path in files(checkpoint) if path.name != "manifest.json"), key=lambda path: path.stat().st_size
    )
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)
    return path.relative_to(checkpoint).as_posix()


def test_a_run_goes_on_from_the_newest_that_is_whole(run, tmp_path, capsys):
    newest, older, *_ = checkpoints_of(run)
    name = damage_one_file(newest)
    assert main(["train", *finished().arguments, f"run.dir={tmp_path}", "--resume"]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = next(line for line in lines if "is damaged" in line)
    assert said.startswith(f"checkpoint {newest} is damaged: {name} was changed")
    assert lines.index(said) < lines.index(f"resumed at step {int(older.name)}")
    assert lines.index(said) < next(place for place, line in enumerate(lines) if line.startswith("step "))
    assert rows(run) == rows(finished().path)
    assert (run / "samples.txt").read_bytes() == (finished().path / "samples.txt").read_bytes()
    assert result(run) == result(finished().path)
    assert_equal(restore(run).tree, restore(finished().path).tree)


def test_without_a_whole_one_it_ends_with_what_is_wrong_with_each(run, tmp_path, capsys):
    names = {path: damage_one_file(path) for path in checkpoints_of(run)}
    before = snapshot(run)
    capsys.readouterr()
    assert main(["train", *finished().arguments, f"run.dir={tmp_path}", "--resume"]) == 2
    captured = capsys.readouterr()
    headline, *lines = captured.err.splitlines()
    assert headline.startswith(f"no undamaged checkpoint in {run / 'checkpoints'}; ")
    assert lines == [
        f"checkpoint {path} is damaged: {name} was changed (its sha256 differs)" for path, name in names.items()
    ]
    assert "step" not in captured.out
    assert snapshot(run) == before
