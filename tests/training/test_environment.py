"""What a run is computed with, written beside it."""

import importlib.metadata
import json
import platform
import shutil
import subprocess

import jax
import pytest
from small import ROOT

from seqmodels import __version__
from seqmodels.training import environment as module
from seqmodels.training.environment import commit, environment, record
from seqmodels.training.run_folder import RunFolder


def test_versions_and_devices():
    found = environment()
    assert found["seqmodels"] == __version__
    assert found["python"] == platform.python_version()
    assert (found["jax"], found["jaxlib"]) == (jax.__version__, importlib.metadata.version("jaxlib"))
    assert (found["backend"], found["device"]) == (jax.default_backend(), jax.devices()[0].device_kind)
    assert found["devices"] == jax.device_count()
    assert json.loads(json.dumps(found)) == found


def git(folder, *command):
    subprocess.run(["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", *command], check=True)


@pytest.fixture
def source(tmp_path):
    """A package in a repository, at its first commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "repository" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    git(folder.parent, "init", "-q")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "-q", "-m", "first")
    return folder


def test_the_commit_of_the_source_and_whether_files_differ_from_it(source):
    first = commit(source)
    assert len(first) == 40
    (source.parent / "elsewhere").write_text("not a file of the package")
    assert commit(source) == first
    (source / "__init__.py").write_text("changed = True")
    assert commit(source) == f"{first}+"


def test_a_package_in_a_repository_that_does_not_know_it_has_no_commit(source, tmp_path):
    installed = source.parent / "site-packages"
    installed.mkdir()
    (installed / "__init__.py").write_text("")
    assert commit(installed) is None
    assert commit(tmp_path / "nowhere") is None


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit(ROOT / "seqmodels") is None


def test_what_goes_on_elsewhere_is_added(tmp_path):
    folder, here = RunFolder(tmp_path), {"jax": "0.10.1", "devices": 1}
    there = {"jax": "0.10.2", "devices": 1}
    assert record(folder, here, 0) == []
    assert record(folder, here, 10) == []
    assert record(folder, there, 20) == ["jax was 0.10.1, now 0.10.2"]
    written = json.loads((tmp_path / module.ENVIRONMENT).read_text())
    assert written == [{"from_step": 0, **here}, {"from_step": 20, **there}]


@pytest.mark.parametrize("damage", [b"", b"[", b"{}", b"[1]", b"[" * 9999, b"\xff"])
def test_a_damaged_record_is_begun_anew(damage, tmp_path):
    (tmp_path / module.ENVIRONMENT).write_bytes(damage)
    assert record(RunFolder(tmp_path), {"jax": "1"}, 5) == []
    assert json.loads((tmp_path / module.ENVIRONMENT).read_text()) == [{"from_step": 5, "jax": "1"}]
