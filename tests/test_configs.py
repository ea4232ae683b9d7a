"""Every file in `configs/` loads, says how it is used, and trains for two steps."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from small import ROOT, SCHEMAS, result, rows

from seqmodels.cli import main
from seqmodels.config import dumps, load
from seqmodels.data.sources import IMDB, PTB, SST, TINYSHAKESPEARE

PATHS = sorted((ROOT / "configs").glob("*.toml"))
SOURCES = {
    **{"ptb": PTB, "ptb_chars": PTB, "tinyshakespeare": TINYSHAKESPEARE},
    **{"sst2": SST, "sst5": SST, "imdb": IMDB},
}
SMALL = [
    *("run.steps=2", "run.log_every=1", "run.validate_every=2", "run.checkpoint_every=2"),
    *("data.batch_size=2", "model.embedding_size=8", "model.cell.hidden_size=8"),
]
SMALL_OF_TASK = {
    "language_modelling": ["data.window=8", "data.eval_batch_size=64", "data.eval_window=128", "sample.length=5"],
    "classification": ["data.eval_batch_size=256"],
}


def read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def data_of(path: Path) -> str:
    return read(path)["data"]["name"]


def trains(path: Path, folder: Path, *assignments: str) -> None:
    small = [*SMALL, *SMALL_OF_TASK[read(path)["task"]["name"]]]
    if "warmup_steps" in read(path)["optimizer"].get("schedule", {}):
        small.append("optimizer.schedule.warmup_steps=1")
    assert main(["train", str(path), f"run.dir={folder}", *small, *assignments]) == 0
    run = folder / path.stem
    assert [row["step"] for row in rows(run)] == [1, 2]
    assert result(run)["steps"] == 2


def test_there_are_configs():
    names = {path.stem for path in PATHS}
    assert {"char_lm", "char_lm_long", "char_lm_shakespeare", "word_lm_ptb_small"} <= names
    assert {"sentiment_grammar", "sentiment_sst2", "sentiment_sst5", "sentiment_imdb"} <= names


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_config_loads_and_comes_back_from_what_is_written(path, tmp_path):
    config = load(path, [], SCHEMAS)
    resolved = tmp_path / "config.toml"
    resolved.write_text(dumps(config), encoding="utf-8")
    assert load(resolved, [], SCHEMAS) == config
    config.optimizer.build(config.run.steps)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_config_says_its_command_and_how_long_it_takes(path):
    header = path.read_text(encoding="utf-8").partition("\n\n")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert f"python scripts/train.py configs/{path.name}" in header
    assert "minute" in header or "hour" in header


@pytest.mark.parametrize("path", [path for path in PATHS if data_of(path) not in SOURCES], ids=lambda path: path.stem)
def test_a_config_trains(path, tmp_path):
    trains(path, tmp_path)


@pytest.mark.data
@pytest.mark.parametrize("path", [path for path in PATHS if data_of(path) in SOURCES], ids=lambda path: path.stem)
def test_a_config_of_downloaded_data_trains(path, tmp_path, data_folder):
    trains(path, tmp_path, f"data.dir={data_folder}")
