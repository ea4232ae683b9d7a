"""Nothing that is read is unpickled or executed, and no archive is unpacked."""

import ast
import os
import pickle
import shutil

import pytest
from small import CONFIGS, ROOT, SCHEMAS, finished, restore, write

from seqmodels.cli import main
from seqmodels.config import load
from seqmodels.errors import UserError
from seqmodels.tasks import TASKS
from seqmodels.training.checkpoint import Checkpoints

SOURCES = sorted((ROOT / "seqmodels").rglob("*.py"))
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "runpy", "zipfile", "imp"}
CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "unpack_archive", "extractall", "extract"}
PROCESSES = {"environment.py": "git, with fixed arguments", "first_step.py": "this Python, with its own module"}
"""The modules that start a process, and which."""


def names(tree):
    """The modules imported, and the functions called by a bare name or on a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name):
                    yield name
                case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner not in ("re", "self", "platform"):
                    yield name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "seqmodels")))
def test_no_module_can_unpickle_or_execute_what_it_reads(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    imported = set(names(tree))
    assert not imported & MODULES
    assert not set(calls(tree)) & CALLS
    assert "allow_pickle=True" not in text
    if "subprocess" in imported:
        assert path.name in PROCESSES


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_the_trap_works(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


def test_no_file_of_a_run_folder_is_unpickled(tmp_path):
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    like = restore(finished().path).tree
    run = shutil.copytree(finished().path, tmp_path / "small")
    for path in sorted(path for path in run.rglob("*") if path.is_file() and path.name != ".lock"):
        data = path.read_bytes()
        path.write_bytes(trap)
        if "checkpoints" in path.parts:
            restored = Checkpoints(run / "checkpoints").restore(like)
            newest = max(Checkpoints(run / "checkpoints").steps())
            assert (restored.step < newest) == (f"{newest:09d}" in path.parts)
        else:
            main(["generate", str(run), "--length", "1"])
        path.write_bytes(data)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("task", "file"),
    [
        *(("language_modelling", "a.txt"), ("classification", "a.csv"), ("classification", "a.jsonl")),
        *(("tagging", "a.tsv"), ("tagging", "a.conllu"), ("forecasting", "a.csv"), ("music", "a.json")),
    ],
)
def test_no_file_of_data_is_unpickled(task, file, tmp_path):
    (tmp_path / file).write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=0))
    config, *given = write(tmp_path, CONFIGS[task])
    kept = [setting for setting in given if not setting.startswith("data.path=")]
    with pytest.raises(UserError):
        TASKS[task](load(config, [*kept, f"data.path={tmp_path / file}"], SCHEMAS))
    assert not (tmp_path / "sprung").exists()


def test_a_config_is_no_code(tmp_path, capsys):
    (tmp_path / "a.toml").write_text(f"import os; os.mkdir({str(tmp_path / 'sprung')!r})\n")
    assert main(["train", str(tmp_path / "a.toml")]) == 2
    assert "not valid TOML" in capsys.readouterr().err
    assert not (tmp_path / "sprung").exists()
