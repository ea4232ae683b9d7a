"""Every file in `configs/` loads, says how it is used, and trains for two steps."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from small import ROOT, SCHEMAS, result, rows

from seqmodels.cli import main
from seqmodels.config import dumps, load
from seqmodels.data.chorales import JSB_CHORALES
from seqmodels.data.corpora import PTB, TINYSHAKESPEARE
from seqmodels.data.ett import ETTH1
from seqmodels.data.imdb import IMDB
from seqmodels.data.m4 import M4_HOURLY
from seqmodels.data.mnist import MNIST
from seqmodels.data.sst import SST
from seqmodels.data.ud_english import UD_ENGLISH_EWT
from seqmodels.sweeps import tables as sweeps
from seqmodels.sweeps.space import check

PATHS = sorted((ROOT / "configs").glob("*.toml"))
SWEEPS = sorted((ROOT / "configs" / "sweeps").glob("*.toml"))
SOURCES = {
    **{"ptb": PTB, "ptb_chars": PTB, "tinyshakespeare": TINYSHAKESPEARE},
    **{"sst2": SST, "sst5": SST, "imdb": IMDB},
    **{"etth1": ETTH1, "m4_hourly": M4_HOURLY},
    **{"mnist": MNIST, "jsb_chorales": JSB_CHORALES},
    **{"sst_words": SST, "ud_english_ewt": UD_ENGLISH_EWT},
}
SMALL = [
    *("run.steps=2", "run.log_every=1", "run.validate_every=2", "run.checkpoint_every=2"),
    *("data.batch_size=2", "model.cell.hidden_size=8"),
]
SMALL_OF_TASK = {
    "language_modelling": [
        *("model.embedding_size=8", "data.window=8", "data.eval_batch_size=64", "data.eval_window=128"),
        "sample.length=5",
    ],
    "classification": ["model.embedding_size=8", "data.eval_batch_size=256"],
    "tagging": ["model.embedding_size=8", "data.eval_batch_size=256"],
    "forecasting": ["model.embedding_size=8", "data.eval_batch_size=256", "data.stride=29"],
    "long_term": ["task.trials=2"],
    "music": [],
}
SMALL_OF_PROBLEM = {
    "adding": ["data.length=5", "data.valid_examples=4", "data.test_examples=4"],
    "copy_memory": ["data.length=5", "data.valid_examples=4", "data.test_examples=4"],
    "temporal_order": ["data.length=20", "data.valid_examples=4", "data.test_examples=4"],
    "parity": ["data.test_max_length=40", "data.valid_examples=4", "data.test_examples=4"],
    "listops": ["data.length=12", "data.valid_examples=4", "data.test_examples=4"],
    "mnist": ["data.eval_batch_size=500"],
}


def read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def data_of(path: Path) -> str:
    return read(path)["data"]["name"]


def trains(path: Path, folder: Path, *assignments: str) -> None:
    task = read(path)["task"]["name"]
    small = [*SMALL, *SMALL_OF_TASK[task], *SMALL_OF_PROBLEM.get(data_of(path), [])]
    if "warmup_steps" in read(path)["optimizer"].get("schedule", {}):
        small.append("optimizer.schedule.warmup_steps=1")
    if "top_size" in read(path)["model"].get("cell", {}):
        small.append("model.cell.top_size=8")
    assert main(["train", str(path), f"run.dir={folder}", *small, *assignments]) == 0
    run = folder / path.stem
    assert [row["step"] for row in rows(run)] == [1, 2]
    assert result(run)["steps"] == 2


def test_there_are_configs():
    names = {path.stem for path in PATHS}
    assert {"char_lm", "char_lm_long", "char_lm_shakespeare", "word_lm_ptb_small"} <= names
    assert {"sentiment_grammar", "sentiment_sst2", "sentiment_sst5", "sentiment_imdb"} <= names
    assert {"adding_100", "adding_500", "adding_1000", "copy_500", "parity", "mnist_rows", "mnist_sequential"} <= names
    assert {"temporal_order_2", "temporal_order_3", "temporal_order_4", "listops", "music_chords", "music_jsb"} <= names
    assert {"word_lm_ptb_awd", "word_lm_ptb_regularized"} <= names
    assert {"tags_grammar", "tags_ud", "words_sst"} <= names
    assert {"forecast_synthetic", "forecast_etth1_96", "forecast_etth1_720", "forecast_etth1_long"} <= names
    assert "forecast_m4_hourly" in names
    assert "char_lm" in {path.stem for path in SWEEPS}


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


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_fits_its_config_and_says_its_command(path):
    check(sweeps.load(path, []))
    header = path.read_text(encoding="utf-8").partition("\n\n")[0]
    assert f"python scripts/sweep.py configs/sweeps/{path.name}" in header
    assert "minute" in header or "hour" in header


@pytest.mark.parametrize("path", [path for path in PATHS if data_of(path) not in SOURCES], ids=lambda path: path.stem)
def test_a_config_trains(path, tmp_path):
    trains(path, tmp_path)


@pytest.mark.data
@pytest.mark.parametrize("path", [path for path in PATHS if data_of(path) in SOURCES], ids=lambda path: path.stem)
def test_a_config_of_downloaded_data_trains(path, tmp_path, data_folder):
    trains(path, tmp_path, f"data.dir={data_folder}")
