"""Run folders: one writer, nothing foreign removed, no half-written file."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from seqmodels.training.folder_lock import FolderLock
from seqmodels.training.run_folder import MetricsFile, RunError, RunFolder


def snapshot(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


def make_run(path, config="seed = 1"):
    with RunFolder.create(path, config, resume=False, overwrite=False) as run:
        run.metrics.append({"step": 1})
        run.append_text("samples.txt", "text\n")
        run.write_json("result.json", {"steps": 1})
        (path / "curves.png").write_bytes(b"png")
        (path / "tensorboard").mkdir()
        (path / "tensorboard" / "events").write_bytes(b"")
        (path / "checkpoints" / "000000001").mkdir(parents=True)
    return run


def full_disk(*arguments, **keywords):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_fresh_folder_holds_the_config(tmp_path):
    with RunFolder.create(tmp_path / "runs" / "a", "x = 'ü'\n", resume=False, overwrite=False) as run:
        assert (run.path / "config.toml").read_text(encoding="utf-8") == run.config_text == "x = 'ü'\n"
        assert not run.finished
        assert sorted(path.name for path in run.path.iterdir()) == [".lock", "config.toml"]
        assert run.checkpoints == run.path / "checkpoints"
        assert run.metrics.path == run.path / "metrics.jsonl"


def test_a_folder_with_a_run_is_refused_and_untouched(tmp_path):
    make_run(tmp_path / "a")
    (tmp_path / "a" / ".lock").unlink()
    before = snapshot(tmp_path)
    with pytest.raises(RunError, match=r"already holds a run; give --resume .*--overwrite .*run.name"):
        RunFolder.create(tmp_path / "a", "seed = 2", resume=False, overwrite=False)
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "a" / ".lock").exists()


@pytest.mark.parametrize("mark", ["metrics.jsonl", "checkpoints", "result.json"])
def test_the_rest_of_a_run_without_its_config_is_a_run_too(tmp_path, mark):
    (tmp_path / "a" / mark).mkdir(parents=True)
    with pytest.raises(RunError, match="already holds a run"):
        RunFolder.create(tmp_path / "a", "", resume=False, overwrite=False)
    with RunFolder.create(tmp_path / "a", "", resume=False, overwrite=True):
        assert not (tmp_path / "a" / mark).exists()


def test_resume_keeps_everything(tmp_path):
    run = make_run(tmp_path / "a")
    before = snapshot(tmp_path)
    with RunFolder.create(tmp_path / "a", "seed = 2", resume=True, overwrite=False) as again:
        assert again.config_text == "seed = 1"
        assert again.finished
        assert run.finished
    assert snapshot(tmp_path) == before


def test_resume_without_a_run_begins_one(tmp_path):
    with RunFolder.create(tmp_path / "a", "seed = 2", resume=True, overwrite=False) as run:
        assert run.config_text == "seed = 2"


def test_overwrite_removes_what_a_run_makes_and_nothing_else(tmp_path):
    path, outside = tmp_path / "a", tmp_path / "outside"
    make_run(path)
    outside.mkdir()
    (outside / "precious.png").write_text("precious")
    (path / "notes.md").write_text("mine")
    (path / "old").mkdir()
    (path / "old" / "curves.png").write_text("mine")
    (path / "mine.png").write_text("mine")
    (path / "curves.png.partial").symlink_to(outside / "precious.png")
    (path / ".result.json.writing").write_text("torn")
    os.rename(path / "checkpoints", tmp_path / "elsewhere")
    (path / "checkpoints").symlink_to(tmp_path / "elsewhere")
    with RunFolder.create(path, "seed = 2", resume=False, overwrite=True) as run:
        assert run.config_text == "seed = 2"
    assert sorted(snapshot(path)) == ["config.toml", "mine.png", "notes.md", "old", "old/curves.png"]
    assert (outside / "precious.png").read_text() == "precious"
    assert (tmp_path / "elsewhere" / "000000001").is_dir()


def test_an_overwriting_that_is_cut_short_still_looks_like_a_run(tmp_path, monkeypatch):
    make_run(tmp_path / "a")
    monkeypatch.setattr("seqmodels.training.run_folder.shutil.rmtree", full_disk)
    with pytest.raises(RunError, match="cannot remove the run in"):
        RunFolder.create(tmp_path / "a", "seed = 2", resume=False, overwrite=True)
    left = snapshot(tmp_path / "a")
    assert {"config.toml", "metrics.jsonl", "samples.txt"} <= left.keys(), "a checkpoint has the rows before it"
    assert "result.json" not in left
    with pytest.raises(RunError, match="already holds a run"):
        RunFolder.create(tmp_path / "a", "seed = 2", resume=False, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_foreign_files_are_kept(tmp_path, overwrite):
    (tmp_path / "notes.md").write_text("mine")
    with RunFolder.create(tmp_path, "seed = 1", resume=False, overwrite=overwrite):
        pass
    assert snapshot(tmp_path) == {"notes.md": b"mine", "config.toml": b"seed = 1"}


def test_wrong_requests_create_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file is a file"):
        RunFolder.create(tmp_path / "file", "", resume=False, overwrite=True)
    with pytest.raises(RunError, match=r"cannot create .*inside"):
        RunFolder.create(tmp_path / "file" / "inside", "", resume=False, overwrite=False)
    with pytest.raises(RunError, match="exclude each other"):
        RunFolder.create(tmp_path / "a", "", resume=True, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_reading_what_is_no_run(tmp_path):
    run = RunFolder(tmp_path / "absent")
    assert not run.finished
    assert run.metrics.read() == []
    with pytest.raises(RunError, match=r"absent is not the folder of a run: it has no config.toml"):
        _ = run.config_text
    assert list(tmp_path.iterdir()) == []


def test_a_config_that_is_no_text(tmp_path):
    (tmp_path / "config.toml").write_bytes(b"a = 1\xff")
    with pytest.raises(RunError, match=r"config\.toml: not UTF-8 at byte 5"):
        _ = RunFolder(tmp_path).config_text


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(RunError, match="File name too long"):
        RunFolder.create(tmp_path / ("x" * 5000), "", resume=False, overwrite=False)


def test_the_lock_is_given_back(tmp_path):
    in_use = pytest.raises(RunError, match=rf"in use by process {os.getpid()} on ")
    with RunFolder.create(tmp_path, "", resume=False, overwrite=False), in_use:
        RunFolder.create(tmp_path, "", resume=True, overwrite=False)
    with contextlib.suppress(KeyboardInterrupt), RunFolder.create(tmp_path, "", resume=True, overwrite=False):
        raise KeyboardInterrupt
    with RunFolder.create(tmp_path, "", resume=True, overwrite=False):
        pass


def test_a_refused_run_gives_the_lock_back(tmp_path):
    make_run(tmp_path / "a")
    with pytest.raises(RunError, match="already holds"):
        RunFolder.create(tmp_path / "a", "", resume=False, overwrite=False)
    FolderLock(tmp_path / "a").release()


@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True)])
def test_a_living_process_keeps_others_out_and_a_dead_one_does_not(tmp_path, flags):
    code = textwrap.dedent("""
        import sys, time
        from seqmodels.training.run_folder import RunFolder
        run = RunFolder.create(sys.argv[1], "seed = 1", resume=False, overwrite=False)
        print("locked", flush=True)
        time.sleep(600)
    """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "locked\n"
        before = snapshot(tmp_path)
        with pytest.raises(RunError, match=rf"run folder .*a is in use by process {child.pid} on .+; wait"):
            RunFolder.create(tmp_path / "a", "seed = 2", resume=flags[0], overwrite=flags[1])
        assert snapshot(tmp_path) == before
        child.kill()
    assert child.returncode == -signal.SIGKILL
    with RunFolder.create(tmp_path / "a", "seed = 2", resume=True, overwrite=False) as run:
        assert run.config_text == "seed = 1"


def test_a_file_system_without_locks_is_an_error_of_its_own(tmp_path, monkeypatch):
    def no_locks(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("seqmodels.training.folder_lock.FolderLock._take", no_locks)
    with pytest.raises(RunError, match=r"cannot lock .*No locks available"):
        RunFolder.create(tmp_path, "", resume=False, overwrite=False)


def test_files_are_replaced_as_a_whole(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    run.write_json(
        "result.json", {"a": float("nan"), "b": [float("inf"), (1, 2.5)], "ü": None, "c": {"d": -float("inf")}}
    )
    text = (tmp_path / "result.json").read_text()
    assert json.loads(text) == {"a": None, "b": [None, [1, 2.5]], "ü": None, "c": {"d": None}}
    for function in ("fsync", "replace"):
        monkeypatch.setattr(os, function, full_disk)
        with pytest.raises(RunError, match=r"cannot write .*result.json: No space left on device; make room"):
            run.write_json("result.json", {"a": 2})
        monkeypatch.undo()
        assert (tmp_path / "result.json").read_text() == text
        assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_deleted_folder_is_named(tmp_path):
    run = RunFolder(tmp_path / "gone")
    for write in (
        lambda: run.write_text("a.txt", ""),
        lambda: run.append_text("samples.txt", ""),
        lambda: run.metrics.append({"step": 1}),
    ):
        with pytest.raises(RunError, match=r"cannot write .*gone.*: its folder is gone"):
            write()


def test_text_is_appended(tmp_path):
    run = RunFolder(tmp_path)
    run.append_text("samples.txt", "one\n")
    run.append_text("samples.txt", "zweí\n")
    assert (tmp_path / "samples.txt").read_text(encoding="utf-8") == "one\nzweí\n"


def test_rows_come_back_and_nan_is_null(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.append({"step": 1, "train/loss_nats": 1 / 3})
    metrics.append({"step": 2, "train/loss_nats": float("nan")})
    assert metrics.read() == [{"step": 1, "train/loss_nats": 1 / 3}, {"step": 2, "train/loss_nats": None}]
    assert metrics.path.read_bytes().count(b"\n") == 2
    with pytest.raises(TypeError, match="integer step"):
        metrics.append({"step": 1.5})
    with pytest.raises(KeyError):
        metrics.append({"loss": 1.5})


@pytest.mark.parametrize("torn", [b"", b'{"step": 31', b'{"step": 31}', b"\x00\x00", b"[1]\n"])
def test_rows_past_the_checkpoint_and_a_torn_line_are_taken_back(tmp_path, torn):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    for step in (10, 20, 20, 30):
        metrics.append({"step": step, "a": 0.1})
    whole = metrics.path.read_bytes()
    metrics.path.write_bytes(whole + torn)
    assert [row["step"] for row in metrics.read()] == [10, 20, 20, 30]
    metrics.truncate_after(30)
    assert metrics.path.read_bytes() == whole
    metrics.path.write_bytes(whole + torn)
    metrics.truncate_after(20)
    assert metrics.path.read_bytes() == whole[: whole.rindex(b'{"step": 30')]
    metrics.truncate_after(0)
    assert metrics.path.read_bytes() == b""
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_truncating_no_file_creates_none(tmp_path):
    MetricsFile(tmp_path / "metrics.jsonl").truncate_after(5)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_line_in_the_middle_is_not_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(RunError, match=r"metrics.jsonl: line 2 is not a row"):
        MetricsFile(path).read()
    with pytest.raises(RunError, match="line 2"):
        MetricsFile(path).truncate_after(1)
    assert path.read_text().count("\n") == 3


def test_a_full_disk_leaves_no_torn_row(tmp_path):
    code = textwrap.dedent("""
        import resource, sys
        from seqmodels.training.run_folder import MetricsFile, RunError
        metrics = MetricsFile(sys.argv[1])
        metrics.append({"step": 1, "pad": "x" * 50})
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        try:
            metrics.append({"step": 2, "pad": "x" * 50})
        except RunError as error:
            print(error)
    """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu"}
    path = tmp_path / "metrics.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", code, path], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"cannot write {path}: ")
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1]
