"""The task of tagging: its loss, measures, baselines, and the commands on it."""

import hashlib
import itertools
import json

import jax
import numpy as np
import pytest
from oracles import assert_equal
from sklearn import metrics
from small import DATA, TAGS, result, rows, task, write

from seqmodels.cli import main
from seqmodels.data import lexicon
from seqmodels.data.sources import DataError, Source, SourceFile
from seqmodels.tasks.tagged_view import TaggedView
from seqmodels.tasks.tagging import WordTagger
from seqmodels.tasks.writer import Writer
from seqmodels.training.evaluation import means, measure


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tagging")


def made(folder, *assignments):
    return task(folder, *assignments, toml=TAGS)


def scores(made, params, split):
    """The scores of every word of a split, each sentence read by itself, in their order."""
    found, apply = [], jax.jit(made.model.apply)
    for sentence in made.data.split(split):
        numbers = made.number([sentence.words], [[0] * len(sentence.words)])
        batch = numbers.batch(np.array([0]), 1, len(sentence.words))
        characters = None if batch.characters is None else (batch.characters, batch.character_lengths)
        found.append(apply(params, batch.tokens, characters=characters)[1][0])
    return np.concatenate(found).astype(np.float64)


def numbers(made, split):
    return np.array([made.classes.index(label) for sentence in made.data.split(split) for label in sentence.labels])


@pytest.mark.parametrize(("characters", "directions"), [("true", 2), ("false", 1)])
def test_measures_are_those_of_every_sentence_by_itself(characters, directions, folder):
    """Neither buckets nor padding nor the batch change anything; scikit-learn counts the rest."""
    settings = [f"model.characters={characters}", f"model.directions={directions}", "data.eval_batch_size=7"]
    task = made(folder, *settings)
    params = jax.tree.map(lambda leaf: 3.0 * leaf, task.init(jax.random.key(1)))
    logits, labels = scores(task, params, "test"), numbers(task, "test")
    nats = np.log(np.exp(logits).sum(axis=-1)) - logits[np.arange(len(labels)), labels]
    found = logits.argmax(axis=-1)
    macro_f1 = metrics.f1_score(labels, found, average="macro", zero_division=0.0)
    sums = measure(task, params, "test")
    assert task.metrics(means(sums)) == {
        "loss_nats": pytest.approx(nats.mean(), rel=1e-5),
        "accuracy": pytest.approx(metrics.accuracy_score(labels, found)),
        "macro_f1": pytest.approx(macro_f1),
        "error_percent": pytest.approx(100 * (1 - metrics.accuracy_score(labels, found))),
        "f1_error_percent": pytest.approx(100 * (1 - macro_f1)),
    }
    counts = task.pictures(sums)["confusion"].counts
    np.testing.assert_array_equal(counts, metrics.confusion_matrix(labels, found, labels=range(3)))
    sentences = [sentence.words for sentence in task.data.test]
    tagged = list(itertools.chain.from_iterable(task.tag(params, sentences)))
    assert tagged == [task.classes[place] for place in found]


def test_words_beyond_a_length_count_for_nothing(folder):
    task = made(folder)
    params = task.init(jax.random.key(0))
    (batch,) = itertools.islice(task.batches(0), 1)
    batch = batch._replace(lengths=np.array([3, 0, 1, 2], np.int32))
    loss, (_, sums) = task.loss(params, None, batch, None)
    beyond = np.arange(batch.tokens.shape[1]) >= batch.lengths[:, None]
    other = batch._replace(tokens=np.where(beyond, 1, batch.tokens), labels=np.where(beyond, 2, batch.labels))
    assert_equal(task.loss(params, None, other, None)[0], loss)
    assert float(sums["loss_nats"][1]) == float(sums["confusion"][0].sum()) == 6.0


def test_every_training_word_is_read_with_its_label_and_its_characters(folder):
    task = made(folder)
    known = {tuple(task.vocabulary.encode(" ".join(sentence.words)).tolist()): sentence for sentence in task.data.train}
    for batch in itertools.islice(task.batches(0), 2 * len(task.stream)):
        for row, length in enumerate(batch.lengths):
            sentence = known[tuple(batch.tokens[row, :length].tolist())]
            assert [task.classes[label] for label in batch.labels[row, :length]] == list(sentence.labels)
            for word, characters, end in zip(
                sentence.words, batch.characters[row], batch.character_lengths[row], strict=False
            ):
                assert task.alphabet.decode(characters[:end]) == word


def test_words_are_read_in_small_letters_and_without_blanks_if_asked_for(folder):
    assert made(folder).form("New  York") == "New_York"
    assert made(folder, "data.lowercase=true").form("New York") == "new_york"
    assert made(folder).form("\N{NO-BREAK SPACE}") == "_"


def test_rare_words_are_one_unknown_word_whose_characters_are_read(folder):
    task = made(folder, "data.vocabulary=5")
    assert len(task.vocabulary) == 5
    batch = task.number([["the", "zebra"]], [[0, 0]]).batch(np.array([0]), 1, 2)
    assert batch.tokens[0, 1] == 0
    assert batch.character_lengths.tolist() == [[3, 5]]


def test_words_begin_with_the_vectors_of_a_file(folder, tmp_path):
    (tmp_path / "vectors.txt").write_text("mat 1 2 3 4 5 6 7 8\n")
    task = made(folder, f"data.vectors={tmp_path / 'vectors.txt'}")
    row = task.vocabulary.symbols.index("mat")
    assert_equal(task.init(jax.random.key(0)).embedding[row], np.arange(1, 9, dtype=np.float32))
    assert f"vectors of 1 words from {tmp_path / 'vectors.txt'}" in task.describe()


def test_baselines_are_the_majority_and_a_table(folder):
    task = made(folder)
    found = task.baselines()
    train, valid = numbers(task, "train"), numbers(task, "valid")
    majority = np.bincount(train).argmax()
    assert found["valid/accuracy"]["majority"] == pytest.approx(np.mean(valid == majority))
    assert set(found["test/f1_error_percent"]) == {"majority", "lookup"}
    words = np.array([word for sentence in task.data.train for word in sentence.words])
    tables = {word: np.bincount(train[words == word]).argmax() for word in set(words.tolist())}
    expected = [tables[word] for sentence in task.data.valid for word in sentence.words]
    assert found["valid/accuracy"]["lookup"] == pytest.approx(np.mean(valid == expected))


SENTIMENT = {"X": "negative", "Y": "neutral", "Z": "positive"}


def sentiment(content=DATA["tagging"][1]):
    return "".join(SENTIMENT.get(c, c) for c in content())


def test_a_lexicon_is_a_baseline_where_classes_have_an_order(folder, tmp_path, monkeypatch):
    path = tmp_path / "lexicon.txt"
    path.write_text("cat\t-1\nsat\t-3\nmat\t2\nthe\t3\n")
    with pytest.raises(DataError, match=r"data.lexicon: the labels of tagged.tsv do not go from bad to good"):
        made(folder, f"data.lexicon={path}")
    monkeypatch.setitem(DATA, "tagging", ("opinions.tsv", sentiment))
    task = made(tmp_path, f"data.lexicon={path}")
    assert set(task.baselines()["valid/macro_f1"]) == {"majority", "lookup", "lexicon"}
    assert task.describe()[-1] == "a lexicon of 4 words for comparison"


def test_the_lexicon_is_found_in_the_cache_too_and_said_to_be_missing(tmp_path, monkeypatch):
    content = b"cat\t-1\nmat\t2\n"
    file = SourceFile("vader_lexicon.txt", len(content), hashlib.sha256(content).hexdigest(), (), page="the library")
    monkeypatch.setattr(lexicon, "VADER", Source("lexicons", (file,), "free", "A toy."))
    monkeypatch.setenv("SEQMODELS_DATA", str(tmp_path / "cache"))
    monkeypatch.setitem(DATA, "tagging", ("opinions.tsv", sentiment))
    trees = tmp_path / "trees"
    for assignments in ([], [f"data.dir={trees}"]):
        assert made(tmp_path, *assignments).describe()[-1] == (
            "no lexicon for comparison; put vader_lexicon.txt (the library) into data.dir or "
            f"{tmp_path / 'cache'}, or name another with data.lexicon=FILE"
        )
    (tmp_path / "cache" / "lexicons").mkdir(parents=True)
    (tmp_path / "cache" / "lexicons" / "vader_lexicon.txt").write_bytes(content)
    for assignments in ([], [f"data.dir={trees}"]):
        assert made(tmp_path, *assignments).describe()[-1] == "a lexicon of 2 words for comparison"
    trees.mkdir()
    (trees / "vader_lexicon.txt").write_bytes(b"cat\t1\n")  # the one beside the data goes first
    with pytest.raises(DataError, match=r"trees/vader_lexicon\.txt: not the canonical"):
        made(tmp_path, f"data.dir={trees}")


def test_a_tagger_comes_back_from_what_a_checkpoint_keeps(folder):
    task = made(folder)
    restored = WordTagger.restore(task.config, json.loads(json.dumps(task.extra())))
    assert restored.model == task.model
    assert restored.classes == task.classes == ("X", "Y", "Z")
    params = task.init(jax.random.key(0))
    sentences = [["the", "cat", "zebra"], [], ["it"]]
    assert restored.tag(params, sentences) == task.tag(params, sentences)
    assert [len(labels) for labels in task.tag(params, sentences)] == [3, 0, 1]
    assert not isinstance(restored, Writer)


def test_what_is_shown_are_words_and_labels(folder):
    task = made(folder, "sample.sentences=2")
    params = task.init(jax.random.key(0))
    lines = task.sample(params).split("\n")
    assert lines == task.sample(params).split("\n")
    found = task.tag(params, [sentence.words for sentence in task.data.valid[:2]])
    expected = [TaggedView(s.words, f, s.labels).text() for s, f in zip(task.data.valid, found, strict=False)]
    assert lines == expected
    assert made(folder, "sample.sentences=0").sample(params) is None


def test_a_view_marks_what_is_wrong():
    view = TaggedView(("a", "dull", "film"), ("neutral", "positive", "neutral"), ("neutral", "negative", "positive"))
    assert view.text(plain="neutral") == "a dull/positive(negative) film/neutral(positive)"
    assert view._replace(true=None).text(plain="neutral") == "a dull/positive film"


@pytest.fixture(scope="module")
def run(folder):
    settings = ["run.steps=6", "run.log_every=2", "run.validate_every=3", "optimizer.learning_rate=0.01"]
    settings += ["data.buckets=1", "task.objective=f1_error_percent"]
    assert main(["train", *write(folder, TAGS), *settings]) == 0
    return folder / "runs" / "small"


def test_what_a_run_leaves(run):
    names = {path.name for path in run.iterdir()}
    assert {"config.toml", "metrics.jsonl", "result.json", "samples.txt", "confusion.png", "checkpoints"} <= names
    best = min(row["valid/f1_error_percent"] for row in rows(run) if "valid/f1_error_percent" in row)
    assert result(run)["metrics"]["valid/f1_error_percent"] == best


def test_evaluate_gives_the_numbers_of_the_result(run, capsys):
    assert main(["evaluate", str(run)]) == 0
    output = capsys.readouterr().out
    assert f"accuracy {result(run)['metrics']['test/accuracy']:.4g}" in output
    assert "lookup" in output


@pytest.mark.parametrize(
    ("assignment", "fault"),
    [
        ("model.directions=3", "model.directions: must be"),
        ("data.name=sst_word", "did you mean 'sst_words'?"),
        ("data.classes=3", "data.classes: the labels of data.path say how many there are; leave it out"),
        ("data.word_length=1", "data.word_length: must be"),
        ("task.objective=accuracy", "task.objective: must be"),
        ("data.lexicon=nowhere.txt", "data.lexicon: the labels of tagged.tsv do not go from bad to good"),
        ("model.unknown_rate=1", "model.unknown_rate: must be"),
        ("data.batch_size=500", "there are 49 training examples, but a step needs 500"),
    ],
)
def test_faults_are_told(assignment, fault, tmp_path, capsys):
    assert main(["train", *write(tmp_path, TAGS), assignment]) == 2
    assert fault in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_it_learns_what_no_word_and_no_reading_from_the_left_can_know(tmp_path):
    assert main(["train", "configs/tags_grammar.toml", f"run.dir={tmp_path}"]) == 0
    found = result(tmp_path / "tags_grammar")
    assert found["metrics"]["test/macro_f1"] > 0.98
    assert found["baselines"]["test/macro_f1"]["lookup"] < 0.6
