"""Small texts, configs and runs, for the tests of models, training and commands."""

import contextlib
import functools
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import jax

from seqmodels.cli import main
from seqmodels.config import load
from seqmodels.tasks import TASKS
from seqmodels.training.checkpoint import Checkpoints, Restored
from seqmodels.training.step import make_step

ROOT = Path(__file__).parent.parent
SCHEMAS = {name: task.schema for name, task in TASKS.items()}
_WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "then", "it", "ran", "off", "to", "see", "what", "was", "there")

PLAIN = """
[task]
name = "language_modelling"
[run]
steps = 2
[data]
batch_size = 4
window = 8
eval_batch_size = 2
eval_window = 32
[model]
embedding_size = 8
[model.cell]
name = "rnn"
hidden_size = 8
[optimizer]
name = "adam"
[sample]
length = 0
"""
"""The least that trains."""

FULL = """
[task]
name = "language_modelling"
[run]
steps = 12
log_every = 2
validate_every = 4
checkpoint_every = 5
[data]
batch_size = 4
window = 8
eval_batch_size = 2
eval_window = 32
[model]
embedding_size = 8
output_dropout = 0.2
[model.cell]
name = "rnn"
hidden_size = 8
zoneout = 0.1
[optimizer]
name = "adam"
learning_rate = 0.02
[optimizer.schedule]
name = "plateau"
patience = 1
least_gain = 10.0
[training]
accumulate = 2
[training.averaging]
name = "ema"
decay = 0.5
[sample]
length = 40
"""
"""With all that a resumed run has to remember: noise, averages, accumulated batches, a plateau that is reached."""

LABELS = """
[task]
name = "classification"
[run]
steps = 2
[data]
batch_size = 4
eval_batch_size = 8
buckets = 2
[model]
embedding_size = 8
[model.cell]
name = "rnn"
hidden_size = 8
[optimizer]
name = "adam"
"""
"""The least that learns to tell classes apart."""

TAGS = """
[task]
name = "tagging"
[run]
steps = 2
[data]
batch_size = 4
eval_batch_size = 8
buckets = 2
[model]
embedding_size = 8
characters = true
character_embedding = 4
character_size = 4
[model.cell]
name = "rnn"
hidden_size = 8
[optimizer]
name = "adam"
"""
"""The least that learns to label words."""

SERIES = """
[task]
name = "forecasting"
[run]
steps = 2
[data]
batch_size = 4
eval_batch_size = 8
context = 8
horizon = 4
period = 6
[model]
embedding_size = 8
[model.cell]
name = "rnn"
hidden_size = 8
[optimizer]
name = "adam"
"""
"""The least that forecasts."""

MARKED = """
[task]
name = "long_term"
[run]
steps = 2
[data]
name = "adding"
length = 12
batch_size = 4
eval_batch_size = 8
valid_examples = 20
test_examples = 20
[model.cell]
name = "rnn"
hidden_size = 8
[optimizer]
name = "adam"
"""
"""The least that learns to remember."""

ROLLS = """
[task]
name = "music"
[run]
steps = 2
[data]
batch_size = 4
eval_batch_size = 8
[model.cell]
name = "rnn"
hidden_size = 8
[optimizer]
name = "adam"
"""
"""The least that learns music."""

CONFIGS = {
    "language_modelling": PLAIN,
    "classification": LABELS,
    "tagging": TAGS,
    "forecasting": SERIES,
    "long_term": MARKED,
    "music": ROLLS,
}
"""The least config of each task; its `data.path`, if there is one, is given on the command line."""


def text(lines: int = 120, seed: int = 0) -> str:
    """English of a sort, about 30 characters a line."""
    draw = random.Random(seed)
    return "".join(" ".join(draw.choice(_WORDS) for _ in range(8)) + ".\n" for _ in range(lines))


def labelled(lines: int = 60, seed: int = 0) -> str:
    """A .csv file of two to twelve words and one of three labels a line, which the first word decides."""
    draw = random.Random(seed)
    texts = (" ".join(draw.choice(_WORDS) for _ in range(draw.randint(2, 12))) for _ in range(lines))
    return "text,label\n" + "".join(f"{text},{'abc'[_WORDS.index(text.split()[0]) % 3]}\n" for text in texts)


def tagged(sentences: int = 60, seed: int = 0) -> str:
    """A .tsv file of sentences of two to twelve words, each with one of three labels, which the word before decides."""
    draw = random.Random(seed)
    lines = []
    for _ in range(sentences):
        words = [draw.choice(_WORDS) for _ in range(draw.choice((2, 5, 8, 12)))]
        befores = ["the", *words[:-1]]
        lines += [f"{word}\t{'XYZ'[_WORDS.index(before) % 3]}\n" for before, word in zip(befores, words, strict=True)]
        lines.append("\n")
    return "".join(lines)


def series(rows: int = 120, seed: int = 0) -> str:
    """A .csv file of two columns that go up and down and tremble."""
    draw = random.Random(seed)
    numbers = ((10 + row % 6 + draw.random(), 5 - row % 4 + draw.random()) for row in range(rows))
    return "load,heat\n" + "".join(f"{load:.4f},{heat:.4f}\n" for load, heat in numbers)


def pieces(number: int = 20, seed: int = 0) -> str:
    """A .json file of pieces of three to twelve frames, in each frame two keys, the second one five above the first."""
    draw = random.Random(seed)
    drawn = [[[key, key + 5] for key in draw.choices(range(60, 72), k=draw.randint(3, 12))] for _ in range(number)]
    return json.dumps({"train": drawn, "valid": drawn[:5], "test": drawn[5:11]})


DATA = {
    "language_modelling": ("text.txt", text),
    "classification": ("labelled.csv", labelled),
    "tagging": ("tagged.tsv", tagged),
    "forecasting": ("series.csv", series),
    "music": ("pieces.json", pieces),
}
"""The name and the content of the file that `data.path` names, by task; the data of the others are made up."""


def write(folder: Path, config: str = PLAIN) -> list[str]:
    """Puts data and a config into a folder; returns the arguments of `train`: a run in `<folder>/runs/small`."""
    (folder / "small.toml").write_text(config, encoding="utf-8")
    arguments = [str(folder / "small.toml"), f"run.dir={folder / 'runs'}"]
    task = tomllib.loads(config)["task"]["name"]
    if task in DATA:
        name, content = DATA[task]
        (folder / name).write_text(content(), encoding="utf-8")
        arguments.insert(1, f"data.path={folder / name}")
    return arguments


def config(folder: Path, *assignments: str, toml: str = PLAIN) -> Any:
    """A valid config whose data are at hand."""
    path, *given = write(folder, toml)
    return load(path, [*given, *assignments], SCHEMAS)


def task(folder: Path, *assignments: str, toml: str = PLAIN) -> Any:
    """A task ready to be trained."""
    made = config(folder, *assignments, toml=toml)
    return TASKS[made.task.name](made)


class Finished(NamedTuple):
    """A run that went to its end, to be read only.

    Attributes:
      path: its folder.
      output: what it printed.
      arguments: those of `train`, but for `run.dir`.
    """

    path: Path
    output: str
    arguments: list[str]


@functools.cache
def _session() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="seqmodels-tests-")


@functools.cache
def finished(toml: str = FULL) -> Finished:
    """A run of a config, made once for all tests."""
    folder = Path(tempfile.mkdtemp(dir=_session().name))
    arguments = write(folder, toml)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = main(["train", *arguments])
    assert code == 0, printed.getvalue()
    return Finished(folder / "runs" / "small", printed.getvalue(), arguments[:2])


def restore(run: Path, step: int | None = None) -> Restored[Any]:
    """A checkpoint of a run, the whole training state."""
    made = load(run / "config.toml", [], SCHEMAS)
    step_functions = make_step(
        TASKS[made.task.name](made),
        made.optimizer.build(made.run.steps),
        seed=made.run.seed,
        averaging=made.training.averaging,
    )
    like = jax.eval_shape(step_functions.init, jax.random.key(0))
    return Checkpoints(run / "checkpoints").restore(like, step)


def rows(run: Path) -> list[dict[str, Any]]:
    """The rows of metrics without what a clock measured."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [untimed(json.loads(line)) for line in lines]


def untimed(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what a clock measured."""
    return {key: value for key, value in row.items() if not key.endswith(("_seconds", "_per_s"))}


def result(run: Path) -> dict[str, Any]:
    """`result.json` without what a clock measured."""
    made = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return {key: value for key, value in made.items() if key != "seconds"}


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, but for locks, which are left behind."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def environment(**more: str) -> dict[str, str]:
    """The environment of a process of its own that imports this source."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", **more}


def compiled_in(folder: str, *, least: str = "0.1") -> dict[str, str]:
    """More of an environment: programs that were compiled are read there, and kept if that took `least` seconds."""
    return {"JAX_COMPILATION_CACHE_DIR": f"{folder}/compiled", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": least}


def python(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs Python to its end."""
    return subprocess.run(
        [sys.executable, *arguments], env=environment(**more), capture_output=True, text=True, timeout=300, check=False
    )
