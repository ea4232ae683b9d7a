"""The task of classification: its loss, measures, baselines, and the commands on it."""

import dataclasses
import itertools
import json

import jax
import numpy as np
import pytest
from oracles import assert_equal
from sklearn import metrics
from small import DATA, LABELS, config, result, rows, task, write

from seqmodels.cli import main
from seqmodels.data.labelled_text import Example
from seqmodels.data.sources import DataError
from seqmodels.data.words import split_words
from seqmodels.tasks.classification import TextClassifier, load_data
from seqmodels.tasks.writer import Writer
from seqmodels.training.evaluation import evaluate, measure


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("classification")


def made(folder, *assignments):
    return task(folder, *assignments, toml=LABELS)


def scores(made, params, split):
    """The scores of every example of a split, each read by itself, in their order."""
    found = []
    for example in made.data.split(split):
        ids = made.encode(example.text)
        found.append(made.model.apply(params, ids[None])[1][0])
    return np.asarray(found, np.float64)


POOLINGS = ["last", "mean", "max", "attention"]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("directions", [1, 2])
def test_measures_are_those_of_every_text_by_itself(pooling, directions, folder):
    """Neither buckets nor padding nor the batch change anything; scikit-learn counts the rest."""
    task = made(folder, f"model.pooling={pooling}", f"model.directions={directions}", "data.eval_batch_size=7")
    params = jax.tree.map(lambda leaf: 3.0 * leaf, task.init(jax.random.key(1)))
    for split in ("valid", "test"):
        logits, labels = scores(task, params, split), task.data.numbers(split)
        nats = np.log(np.exp(logits).sum(axis=-1)) - logits[np.arange(len(labels)), labels]
        found = logits.argmax(axis=-1)
        assert evaluate(task, params, split) == {
            "loss_nats": pytest.approx(nats.mean(), rel=1e-5),
            "accuracy": pytest.approx(metrics.accuracy_score(labels, found)),
            "macro_f1": pytest.approx(metrics.f1_score(labels, found, average="macro", zero_division=0.0)),
            "error_percent": pytest.approx(100 * (1 - metrics.accuracy_score(labels, found))),
        }
        counts = task.pictures(measure(task, params, split))["confusion"].counts
        np.testing.assert_array_equal(counts, metrics.confusion_matrix(labels, found, labels=range(3)))


def test_rows_that_fill_a_batch_count_for_nothing(folder):
    task = made(folder)
    params = task.init(jax.random.key(0))
    (batch,) = itertools.islice(task.batches(0), 1)
    mask = np.array([True, False, True, False])
    loss, (_, sums) = task.loss(params, None, batch._replace(mask=mask), None)
    other = batch._replace(mask=mask, tokens=batch.tokens * mask[:, None], labels=np.where(mask, batch.labels, 2))
    assert_equal(task.loss(params, None, other, None)[0], loss)
    assert float(sums["loss_nats"][1]) == float(sums["confusion"][0].sum()) == 2.0


def test_noise_needs_a_key(folder):
    task = made(folder, "model.output_dropout=0.5")
    params = task.init(jax.random.key(0))
    (batch,) = itertools.islice(task.batches(0), 1)
    quiet, again, noisy = (float(task.loss(params, None, batch, key)[0]) for key in (None, None, jax.random.key(0)))
    assert quiet == again != noisy


def test_every_training_text_is_read_with_its_label(folder):
    task = made(folder)
    labels = {example.text: task.classes.index(example.label) for example in task.data.train}
    decoded = {tuple(task.encode(text).tolist()): label for text, label in labels.items()}
    for batch in itertools.islice(task.batches(0), 3 * len(task.stream)):
        for tokens, length, label in zip(batch.tokens, batch.lengths, batch.labels, strict=True):
            assert decoded[tuple(tokens[:length].tolist())] == label


@pytest.mark.parametrize(("cut", "kept"), [("end", "the cat"), ("start", "a mat")])
def test_long_texts_are_cut_where_it_is_said(cut, kept, folder):
    task = made(folder, "data.max_length=2", f"data.cut={cut}")
    assert task.vocabulary.decode(task.encode("The cat sat on a mat")) == kept
    assert max(task._splits["train"].lengths) == 2
    assert task.widths == (8,)


@pytest.mark.parametrize("unit", ["char", "byte"])
def test_texts_may_be_read_by_characters_or_bytes(unit, folder):
    task = made(folder, f"data.unit={unit}")
    text = task.data.train[0].text
    assert task.vocabulary.decode(task.encode(text)) == text
    assert np.isfinite(evaluate(task, task.init(jax.random.key(0)), "valid")["loss_nats"])


def labelled_as(made, monkeypatch, train, whole=()):
    """Puts training texts, each with both labels, in the place of the data."""
    examples = tuple(Example(text, label, "") for text in train for label in "ab")
    changes = {"train": examples * 3, "valid": examples, "test": examples, "whole": whole, "classes": ("a", "b")}
    data = dataclasses.replace(made.data, **changes)
    monkeypatch.setattr("seqmodels.tasks.classification.load_data", lambda table: data)


def test_rare_words_are_one_unknown_word(folder, monkeypatch):
    labelled_as(made(folder), monkeypatch, ("a film", "a rare film"), whole=("a film", "a rare film"))
    task = made(folder)
    assert set(task.vocabulary.symbols[2:]) == {"a", "film"}
    assert task.vocabulary.decode(task.encode("a rare film")) == "a <unk> film"
    assert set(made(folder, "data.least_count=1").vocabulary.symbols[2:]) == {"a", "film", "rare"}


def test_words_of_phrases_are_counted_once_a_sentence(folder, monkeypatch):
    """Else every word of a sentence would be frequent: it is in all the phrases around it."""
    whole = ("a rare film", "a film")
    labelled_as(made(folder), monkeypatch, (*whole, "rare film", "rare"), whole)
    assert set(made(folder).vocabulary.symbols[2:]) == {"a", "film"}


def test_words_begin_with_the_vectors_of_a_file(folder, tmp_path):
    (tmp_path / "vectors.txt").write_text("mat 1 2 3 4 5 6 7 8\nzebra 0 0 0 0 0 0 0 0\n")
    task = made(folder, f"data.vectors={tmp_path / 'vectors.txt'}")
    params, drawn = (each.init(jax.random.key(0)) for each in (task, made(folder)))
    row = task.vocabulary.symbols.index("mat")
    assert_equal(params.embedding[row], np.arange(1, 9, dtype=np.float32))
    assert_equal(params._replace(embedding=params.embedding.at[row].set(drawn.embedding[row])), drawn)
    assert f"vectors of 1 words from {tmp_path / 'vectors.txt'}" in task.describe()


def test_baselines_are_the_majority_and_a_bag_of_words(folder):
    found = made(folder).baselines()
    labels = made(folder).data.numbers("valid")
    majority = np.bincount(made(folder).data.numbers("train")).argmax()
    assert found["valid/accuracy"]["majority"] == pytest.approx(np.mean(labels == majority))
    assert set(found["test/error_percent"]) == {"majority", "bag of words"}


def test_a_classifier_comes_back_from_what_a_checkpoint_keeps(folder):
    task = made(folder)
    restored = TextClassifier.restore(task.config, json.loads(json.dumps(task.extra())))
    assert restored.model == task.model
    assert restored.classes == task.classes == ("a", "b", "c")
    assert_equal(restored.encode("the Cat sat!"), task.encode("the Cat sat!"))
    assert not isinstance(restored, Writer)


def test_a_step_may_be_of_several_batches(folder):
    arguments = write(folder, LABELS)
    assert main(["train", *arguments, "run.name=several", "training.accumulate=2", "data.buckets=3"]) == 0
    assert result(folder / "runs" / "several")["steps"] == 2


def test_too_few_examples_for_a_batch(folder):
    with pytest.raises(DataError, match=r"a step needs 1,000; lower data.batch_size or training.accumulate"):
        made(folder, "data.batch_size=500", "training.accumulate=2")


def test_phrases_are_for_trees(folder):
    with pytest.raises(DataError, match=r"data.phrases: data.path has none"):
        made(folder, "data.phrases=true")
    data = dataclasses.replace(config(folder, toml=LABELS).data, path=None, phrases=True)
    with pytest.raises(DataError, match=r"data.phrases: sentiment_grammar has none.*sst2, sst5"):
        load_data(data)


def test_empty_texts_are_said_and_do_no_harm(folder, monkeypatch):
    labelled_as(made(folder), monkeypatch, ("a film", "", "a bad film"))
    task = made(folder)
    assert "10 texts are empty" in task.describe()
    params = task.init(jax.random.key(0))
    gradient = jax.jit(jax.value_and_grad(lambda params, batch: task.loss(params, None, batch, None)[0]))
    for batch in itertools.islice(task.batches(0), len(task.stream)):
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient(params, batch)))


@pytest.fixture(scope="module")
def run(folder):
    settings = ["run.steps=6", "run.log_every=2", "run.validate_every=3", "optimizer.learning_rate=0.01"]
    assert main(["train", *write(folder, LABELS), *settings]) == 0
    return folder / "runs" / "small"


def test_what_a_run_leaves(run):
    names = {path.name for path in run.iterdir()}
    assert {"config.toml", "metrics.jsonl", "result.json", "curves.png", "confusion.png", "checkpoints"} <= names
    assert "samples.txt" not in names
    assert "train/macro_f1" in rows(run)[0]
    best = min(row["valid/error_percent"] for row in rows(run) if "valid/error_percent" in row)
    assert result(run)["metrics"]["valid/error_percent"] == best


def test_evaluate_gives_the_numbers_of_the_result(run, capsys):
    assert main(["evaluate", str(run)]) == 0
    output = capsys.readouterr().out
    assert f"accuracy {result(run)['metrics']['test/accuracy']:.4g}" in output
    assert "majority" in output
    assert "bag of words" in output


def test_generate_says_that_it_cannot(run, capsys):
    assert main(["generate", str(run)]) == 2
    assert capsys.readouterr().err == f"{run}: its task, classification, writes no text; use evaluate\n"


def test_other_data_are_refused(run, folder, capsys):
    name, content = DATA["classification"]
    (folder / name).write_text(content(seed=5))
    try:
        assert main(["evaluate", str(run)]) == 2
    finally:
        (folder / name).write_text(content())
    assert "the text of labelled.csv is not the one this run was trained on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("assignment", "fault"),
    [
        ("model.pooling=median", "model.pooling: must be one of 'last', 'mean', 'max', 'attention'"),
        ("model.directions=3", "model.directions: must be"),
        ("data.name=sst3", "did you mean 'sst5'?"),
        ("data.unit=words", "did you mean 'word'?"),
        ("data.label_column=class", "labelled.csv:1: there is no column 'class'"),
        ("sample.length=5", "sample: unknown key"),
        ("data.vectors=nowhere.txt", "nowhere.txt: there is no such file"),
    ],
)
def test_faults_are_told(assignment, fault, tmp_path, capsys):
    assert main(["train", *write(tmp_path, LABELS), assignment]) == 2
    assert fault in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_vectors_are_of_words(folder, capsys):
    assert main(["train", *write(folder, LABELS), "data.vectors=v.txt", "data.unit=char"]) == 2
    assert "vectors are of words, but unit is char; leave vectors out, or set unit=word" in capsys.readouterr().err


def test_words_are_taken_apart_alike_however_they_come():
    assert split_words("I didn't like it: it's BAD!") == "i did n't like it : it 's bad !"
    assert split_words("I did n't like it : it 's bad !") == split_words("I didn’t like it: it’s bad!")
    assert split_words(" \n") == ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_it_learns_what_no_bag_of_words_can_know(seed, tmp_path):
    arguments = ["configs/sentiment_grammar.toml", f"run.dir={tmp_path}", f"run.seed={seed}"]
    assert main(["train", *arguments]) == 0
    found = result(tmp_path / "sentiment_grammar")
    assert found["metrics"]["test/accuracy"] > 0.98
    assert found["baselines"]["test/accuracy"]["bag of words"] == 0.5
