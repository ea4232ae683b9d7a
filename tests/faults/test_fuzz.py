"""Configs, data and run folders damaged by chance: it ends well or in an error of ours, with no traceback and no hang.

Nothing that is read is executed, and nothing is written outside its folder.
"""

import contextlib
import gzip
import io
import itertools
import json
import shutil
import signal
import struct
import tarfile
import tomllib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import changes, configs, damaged, toml
from small import CONFIGS, FULL, SCHEMAS, finished, write

from seqmodels.cli import main
from seqmodels.commands.trained_run import TrainedRun
from seqmodels.config import load
from seqmodels.data.imdb import read_reviews
from seqmodels.data.inputs import open_input, records_of
from seqmodels.data.mnist import read_images
from seqmodels.data.vectors import read_vectors
from seqmodels.errors import UserError
from seqmodels.tasks import TASKS
from seqmodels.training.interrupts import InterruptedRun
from seqmodels.training.loop import Loop

EACH = 20
"""Of so many files that can be read, one gives batches and is measured by the simple methods, which takes longer."""

PATIENCE = 60
"""Seconds after which a case is taken to hang."""


def cases(few, many):
    """So many cases in the ordinary suite, and so many with `-m faults`."""
    return pytest.mark.parametrize("number", [few, pytest.param(many, marks=pytest.mark.faults)])


def fuzz(number, strategy, check):
    """Checks so many cases, always the same ones."""

    @settings(
        max_examples=number,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(case):
        with within_time():
            check(case)

    run()


@contextlib.contextmanager
def within_time():
    """Fails what takes too long."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def hangs(number, frame):
        raise AssertionError(f"hangs: more than {PATIENCE} s")

    former = signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def ends(*arguments):
    """Runs a command; its exit code is one of those of the documents, and a refusal says why."""
    printed, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        try:
            code = main(arguments)
        except SystemExit as left:  # argparse
            code = left.code
    assert code in (0, 2, 143), (code, errors.getvalue())
    assert (code == 2) == bool(errors.getvalue().strip()), (code, errors.getvalue())
    return code


# -------------------------------------------------------------------------------------------------------------- configs
@pytest.fixture
def before_the_first_step(monkeypatch):
    """Runs end where their first step would be."""

    def fit(self):
        raise InterruptedRun(signal.SIGTERM, 0)

    monkeypatch.setattr(Loop, "fit", fit)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder to be in, with no way to others: nothing is downloaded, and relative paths lead here."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("SEQMODELS_DATA", str(tmp_path / "home" / "cache"))
    monkeypatch.setattr("seqmodels.data.sources.download", refuse)
    return tmp_path


def refuse(*arguments, **keywords):
    raise OSError("no network here")


def config_of(folder, task, toml_text):
    """A config that names its data itself, as a table."""
    _, *given = write(folder, toml_text)
    table = tomllib.loads(toml_text)
    for assignment in given:
        key, _, value = assignment.partition("=")
        first, second = key.split(".")
        table.setdefault(first, {})[second] = value
    return table


def here(case, home):
    """A config whose run folder lies here, as long as `run.dir` is a path."""
    run = case.get("run")
    if isinstance(run, dict) and isinstance(run.get("dir"), str) and "/" in run["dir"]:
        return case | {"run": run | {"dir": str(home / "runs")}}
    return case


def assert_only_in(folder, before):
    """Nothing was written beside a folder."""
    assert {path.name for path in folder.parent.iterdir()} == before


@pytest.mark.parametrize("name", [*CONFIGS, "full"])
@cases(4, 290)
def test_configs(number, name, home, before_the_first_step):
    table = config_of(home, name, FULL if name == "full" else CONFIGS[name])
    before = {path.name for path in home.parent.iterdir()}

    def check(case):
        path = home / "case.toml"
        path.write_text(toml(here(case, home)), encoding="utf-8")
        ends("train", str(path), "--overwrite")
        assert_only_in(home, before)

    fuzz(number, configs(table), check)


@cases(1, 60)
def test_configs_that_are_trained(number, home):
    """With sizes that fit: two steps, a validation, a checkpoint and the test."""
    table = config_of(home, "language_modelling", FULL) | {"run": {"steps": 2, "dir": str(home / "runs")}}

    def check(case):
        path = home / "case.toml"
        path.write_text(toml(here(case, home)), encoding="utf-8")
        sizes = [value for value in numbers_of(case) if abs(value) > 2000]
        if not sizes:
            ends("train", str(path), "--overwrite")

    fuzz(number, configs(table), check)


def numbers_of(value):
    """All numbers in a config."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers_of(inner)
    elif isinstance(value, int | float):
        yield value


@cases(4, 500)
def test_the_bytes_of_a_config(number, home, before_the_first_step):
    text = toml(config_of(home, "language_modelling", FULL)).encode()
    pretty = FULL.encode()

    def check(case):
        damage, original = case
        path = home / "case.toml"
        path.write_bytes(damaged(original, damage))
        ends("train", str(path), "--overwrite")

    fuzz(number, st.tuples(changes, st.sampled_from((text, pretty))), check)


@cases(4, 500)
def test_assignments_on_the_command_line(number, home, before_the_first_step):
    config, *given = write(home, FULL)

    def check(case):
        ends("train", config, *given, "--overwrite", case)

    keys = st.sampled_from(("run.steps", "model.cell", "optimizer", "data.window", "run.name", "run", "devices", ""))
    nasty = ("1e999", "[" * 9999, "{a=1", "9" * 5000, "\0", "\ud800", "''", "{}")
    values = st.text(max_size=20) | st.sampled_from(nasty)
    fuzz(number, st.builds("{}={}".format, keys, values) | st.text(max_size=20), check)


# ----------------------------------------------------------------------------------------------------------------- data
def read_as_task(folder, name, *assignments):
    """Reads data as training does: the task is made, and gives what is saved and said of it."""
    config, *given = write(folder, CONFIGS[name])
    kept = [setting for setting in given if not setting.startswith("data.path=")]
    made = load(config, [*kept, *assignments], SCHEMAS)
    task = TASKS[name](made)
    json.dumps(task.extra())
    task.describe()
    return task


def words_of(rows):
    """A file of CoNLL-U."""
    words = (f"{row % 5 + 1}\tword{row % 7}\t_\tTAG{row % 3}" + "\t_" * 6 + "\n" for row in range(rows))
    return "".join(word + "\n" * (row % 5 == 4) for row, word in enumerate(words)).encode()


def table_of(rows, mark):
    """Texts with labels."""
    lines = (f"some words {row}{mark}{'ab'[row % 2]}\n" for row in range(rows))
    return (f"text{mark}label\n" + "".join(lines)).encode()


def lines_of(rows):
    """Texts with labels, as JSON."""
    found = (json.dumps({"text": f"wörds {row}", "label": "ab"[row % 2]}) for row in range(rows))
    return "\n".join(found).encode()


def series_of(days):
    """A table of a date and two numbers, a row an hour."""
    hours = ((day, hour) for day in range(days) for hour in range(24))
    lines = (f"2024-01-{day + 1:02d} {hour:02d}:00:00,{day + hour % 5},{hour}.5\n" for day, hour in hours)
    return ("date,load,heat\n" + "".join(lines)).encode()


def pieces_of(number):
    """Pieces of music."""
    drawn = [[[60 + (piece + at) % 12, 72] for at in range(3 + piece % 4)] for piece in range(number)]
    return json.dumps({"train": drawn, "valid": drawn[:4], "test": drawn[4:9]}).encode()


TEXT = " ".join(f"the cat sat on mat {row}." for row in range(200)).encode()
DATED = ("data.date_column=date", "data.frequency=1h", "data.missing=forward")
DATA = {
    "text.txt": ("language_modelling", TEXT, ()),
    "bytes.txt": ("language_modelling", TEXT, ("data.unit=byte",)),
    "words.txt": ("language_modelling", TEXT, ("data.unit=word",)),
    "pieces.txt": ("language_modelling", TEXT, ("data.unit=bpe", "data.vocabulary=300")),
    "texts.csv": ("classification", table_of(60, ","), ()),
    "texts.tsv": ("classification", table_of(60, "\t"), ()),
    "texts.jsonl": ("classification", lines_of(60), ()),
    "words.tsv": ("tagging", b"the\tX\ncat\tY\n\n" * 40, ()),
    "words.conllu": ("tagging", words_of(200), ()),
    "dated.csv": ("forecasting", series_of(5), DATED),
    "plain.csv": (
        "forecasting",
        b"a,b\n" + b"".join(b"%d,%d\n" % (row % 7, row % 5) for row in range(120)),
        (),
    ),
    "music.json": ("music", pieces_of(20), ()),
}
"""The name of a file, the task that reads it, its content, and more assignments."""


@pytest.mark.parametrize("file", DATA)
@cases(3, 2000)
def test_files_of_data(number, file, home):
    task, content, more = DATA[file]
    path = home / file
    read = itertools.count(1)

    def check(case):
        path.write_bytes(damaged(content, case))
        with contextlib.suppress(UserError):
            made = read_as_task(home, task, f"data.path={path}", *more)
            if next(read) % EACH == 0:
                list(itertools.islice(made.batches(0), 2))
                made.baselines()

    path.write_bytes(content)
    list(itertools.islice(read_as_task(home, task, f"data.path={path}", *more).batches(0), 2))
    fuzz(number, changes, check)


@cases(3, 2000)
def test_folders_of_classes(number, home):
    folder = home / "classes"

    def check(case):
        damage, name = case
        shutil.rmtree(folder, ignore_errors=True)
        for label in "ab":
            (folder / label).mkdir(parents=True)
            for row in range(12):
                (folder / label / f"{row}.txt").write_text(f"some words {row} {label}")
        path = folder / "a" / name
        path.write_bytes(damaged(b"some words", damage))
        with contextlib.suppress(UserError):
            read_as_task(home, "classification", f"data.path={folder}")

    fuzz(number, st.tuples(changes, st.sampled_from(("0.txt", "new.txt", ".hidden", "a.csv"))), check)


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def packed(content):
    return gzip.compress(content, mtime=0)


def archive(mode="w:gz"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as made:
        for number, place in enumerate(("train/pos", "train/neg", "test/pos", "test/neg")):
            entry = tarfile.TarInfo(f"aclImdb/{place}/{number}_7.txt")
            entry.size = 9
            made.addfile(entry, io.BytesIO(b"good film"))
    return file.getvalue()


IMAGES = idx(np.arange(3 * 28 * 28, dtype=np.int64).astype(np.uint8).reshape(3, 28, 28))
LABELS = idx(np.array([0, 5, 9], np.uint8))
VECTORS = b"the 0.1 0.2 0.3\ncat -1 2 1e-3\n"
READERS = {
    "images": (IMAGES, lambda path: read_images(path, path.with_name("labels"))),
    "images.gz": (packed(IMAGES), lambda path: read_images(path, path.with_name("labels"))),
    "vectors.txt": (VECTORS, lambda path: read_vectors(str(path), ["the", "cat"], 3)),
    "vectors.gz": (packed(VECTORS), lambda path: read_vectors(str(path), ["the", "cat"], 3)),
    "reviews.tar": (archive("w"), read_reviews),
    "reviews.tar.gz": (archive(), read_reviews),
    "new.jsonl": (lines_of(5), lambda path: list(records_of(open_input(str(path), None)))),
    "new.csv": (table_of(5, ","), lambda path: list(records_of(open_input(str(path), None)))),
    "new.tsv": (table_of(5, "\t"), lambda path: list(records_of(open_input(str(path), None)))),
}
"""The name of a file, its content, and what reads it."""


@pytest.mark.parametrize("file", READERS)
@cases(3, 2000)
def test_files_that_other_readers_take(number, file, tmp_path):
    content, read = READERS[file]
    (tmp_path / "labels").write_bytes(LABELS)
    path = tmp_path / file
    path.write_bytes(content)
    read(path)

    def check(case):
        path.write_bytes(damaged(content, case))
        with contextlib.suppress(UserError):
            read(path)
        assert {entry.name for entry in tmp_path.iterdir()} == {"labels", file}

    fuzz(number, changes, check)


# ---------------------------------------------------------------------------------------------------------- run folders
@pytest.fixture(scope="module")
def whole():
    """A run that went to its end, before anything is put in the place of training."""
    return finished().path


def files_of(run):
    return sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file() and path.name != ".lock")


@cases(5, 2000)
def test_the_files_of_a_run_folder(number, whole, home, before_the_first_step):
    """Those of a checkpoint too: evaluated, gone on with, and asked for its text."""
    run = home / "runs" / "small"

    def check(case):
        file, damage, command = case
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(whole, run)
        (run / "result.json").unlink(missing_ok=True)
        path = run / file
        if path.exists():
            path.write_bytes(damaged(path.read_bytes(), damage))
        if command == "train":
            ends("train", *finished().arguments, f"run.dir={run.parent}", "--resume")
        elif command == "generate":
            ends("generate", str(run), "--length", "1")
        else:
            with contextlib.suppress(UserError):
                trained = TrainedRun(str(run))
                trained.params(trained.model())

    commands = st.sampled_from(("train", "restore", "restore", "restore"))
    fuzz(number, st.tuples(st.sampled_from(files_of(whole)), changes, commands), check)
