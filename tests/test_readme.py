"""The documents do what they say: their Python runs, their commands parse, their links lead somewhere."""

import pathlib
import re
import shlex
import sys
import types

import pytest
from documents import blocks
from small import ROOT

from seqmodels import cli
from seqmodels.sweeps.space import check
from seqmodels.sweeps.tables import load

DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
DOCUMENTS += [f"docs/{name}.md" for name in ("design", "results", "benchmarks", "why_lstm", "scale")]
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
TOKEN_IN_CODE = re.compile(r"`([^`\n]+)`")


def commands(document):
    """Every command of this package in a document's shell blocks, as arguments of `cli.main`."""
    lines = (line for _, block in blocks(document, "bash") for line in block.replace("\\\n", " ").splitlines())
    parts = (shlex.split(part) for line in lines for part in line.split("&&"))
    return [
        [pathlib.Path(words[1]).stem, *words[2:]]
        for words in parts
        if words[:1] == ["python"] and words[1].startswith("scripts/")
    ]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/why_lstm.md"])
def test_python_runs(document, monkeypatch):
    module = types.ModuleType("document")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    found = blocks(document, "python")
    assert found
    for line, block in found:
        # Empty lines in front let a traceback name the document's own line.
        exec(compile("\n" * line + block, document, "exec"), vars(module))


ALL_COMMANDS = [command for document in DOCUMENTS for command in commands(document)]


def test_there_are_commands():
    assert {command[0] for command in ALL_COMMANDS} >= {"train", "evaluate", "generate"}


@pytest.mark.parametrize("command", [pytest.param(command, id=" ".join(command)) for command in ALL_COMMANDS])
def test_commands_are_understood(command, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    options = cli._parse(cli._parser(), command)
    if "config" in options:
        # Reads and checks the config with its changes, and neither trains nor writes.
        assert cli.main(["train", options.config, *options.assignments, "--keys"]) == 0, capsys.readouterr().err
    if options.command == "sweep":
        check(load(pathlib.Path(options.file), options.assignments))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_files_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    links = [link for link in LINK.findall(text) if "://" not in link]
    missing = [link for link in links if not (ROOT / document).parent.joinpath(link).exists()]
    folders = ("configs/", "scripts/", "docs/", "tests/", "seqmodels/")
    files = [token for token in TOKEN_IN_CODE.findall(text) if token.startswith(folders) and " " not in token]
    missing += [file for file in files if not (ROOT / file).exists()]
    assert not missing
