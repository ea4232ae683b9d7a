"""The task of language modelling: its loss, carry, texts and baselines."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close, assert_equal
from small import PLAIN, SCHEMAS, task, text, write

from seqmodels.config import ConfigError, load
from seqmodels.data.sources import DataError
from seqmodels.data.streams import EvaluationBatch
from seqmodels.models import Sampling
from seqmodels.tasks import TASKS
from seqmodels.tasks.compression import compressed_bits, unigram_nats
from seqmodels.tasks.language_modelling import load_corpus
from seqmodels.tasks.text_model import TextModel
from seqmodels.tasks.writer import Writer
from seqmodels.training.evaluation import evaluate, measure


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("language_modelling")


@pytest.fixture(scope="module")
def made(folder):
    return task(folder)


@pytest.fixture(scope="module")
def params(made):
    return made.init(jax.random.key(0))


def batches(made, number=3):
    return list(itertools.islice(made.batches(0), number))


def nats_of(made, params, inputs, targets, state=None):
    """The cost of each symbol, in float64 from the model's scores."""
    state, logits = made.model.apply(params, inputs, state)
    scores = np.asarray(logits, np.float64)
    log_p = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    return state, -np.take_along_axis(log_p, np.asarray(targets)[..., None], -1)[..., 0]


def test_the_loss_is_the_mean_of_the_predictions(made, params):
    (batch,) = batches(made, 1)
    loss, (_, sums) = made.loss(params, made.initial_carry(params), batch, None)
    _, nats = nats_of(made, params, batch.inputs, batch.targets)
    assert float(loss) == pytest.approx(nats.mean(), rel=1e-5)
    assert float(sums["loss_nats"][0]) == pytest.approx(nats.sum(), rel=1e-5)
    assert float(sums["loss_nats"][1]) == nats.size


def test_batches_have_one_shape(made):
    shapes = {tuple(leaf.shape for leaf in batch) for batch in batches(made, 20)}
    assert shapes == {((4, 8), (4, 8), ())}


def test_the_loss_may_be_summed_over_time(folder, made, params):
    summed = task(folder, "task.loss=sum_over_time")
    (batch,) = batches(made, 1)
    carry = made.initial_carry(params)
    mean, (_, sums) = made.loss(params, carry, batch, None)
    total, (_, others) = summed.loss(params, carry, batch, None)
    assert float(total) == pytest.approx(float(mean) * batch.inputs.shape[1], rel=1e-6)
    assert_equal(others, sums)


def test_padding_counts_for_nothing(made, params):
    (batch,) = batches(made, 1)
    mask = np.zeros(batch.inputs.shape, bool)
    mask[0, :5] = mask[2, :1] = True
    masked = EvaluationBatch(batch.inputs, batch.targets, mask, batch.fresh)
    loss, (_, sums) = made.loss(params, made.initial_carry(params), masked, None)
    _, nats = nats_of(made, params, batch.inputs, batch.targets)
    assert float(loss) == pytest.approx(nats[mask].mean(), rel=1e-5)
    assert float(sums["loss_nats"][1]) == 6.0


def test_the_state_is_carried_and_starts_anew_where_the_text_does(made, params):
    zero, one, _ = batches(made)
    assert (bool(zero.fresh), bool(one.fresh)) == (True, False)
    carry = made.initial_carry(params)
    state = None
    for batch in (zero, one):
        loss, (carry, _) = made.loss(params, carry, batch, None)
        state, nats = nats_of(made, params, batch.inputs, batch.targets, state)
        assert float(loss) == pytest.approx(nats.mean(), rel=1e-5)
    assert_close(carry, state, np.float32)
    noisy = jax.tree.map(lambda leaf: leaf + 1.0, carry)
    assert_equal(made.loss(params, noisy, zero, None), made.loss(params, carry, zero, None))
    assert float(made.loss(params, noisy, one, None)[0]) != float(made.loss(params, carry, one, None)[0])


def test_a_learned_state_has_a_gradient_where_the_text_begins(folder):
    made = task(folder, "model.cell.learned_state=true")
    params = made.init(jax.random.key(0))
    zero, one, _ = batches(made)
    carry = made.initial_carry(params)
    for batch, moved in ((zero, True), (one, False)):
        gradient = jax.grad(lambda p, b=batch: made.loss(p, carry, b, None)[0])(params)
        found = np.abs(gradient.cell[0].state.h).max() > 0
        assert found == moved


def test_targets_follow_inputs_in_the_training_text(folder):
    made = task(folder, "data.shift=false")
    zero, one, _ = batches(made)
    decode = made.vocabulary.decode
    for row in range(4):
        both = decode(np.concatenate([zero.inputs[row], one.inputs[row]]))
        assert both in made.corpus.train
        assert decode(zero.targets[row]) == both[1:9]
    assert decode(zero.inputs[0]) == made.corpus.train[:8]


def test_noise_needs_a_key(folder):
    made = task(folder, "model.output_dropout=0.5")
    params = made.init(jax.random.key(0))
    (batch,) = batches(made, 1)
    carry = made.initial_carry(params)
    quiet, again, noisy = (float(made.loss(params, carry, batch, key)[0]) for key in (None, None, jax.random.key(0)))
    assert quiet == again != noisy


@pytest.mark.parametrize(
    ("unit", "objective"), [("char", "bits_per_char"), ("byte", "bits_per_byte"), ("word", "perplexity")]
)
def test_each_unit_has_its_metric(unit, objective, folder):
    made = task(folder, f"data.unit={unit}")
    expected = math.exp(1.5) if unit == "word" else 1.5 / math.log(2)
    assert made.objective == objective
    assert made.metrics({"loss_nats": 1.5}) == {"loss_nats": 1.5, objective: pytest.approx(expected)}


def test_a_perplexity_beyond_all_bounds_is_a_number(folder):
    assert math.isfinite(task(folder, "data.unit=word").metrics({"loss_nats": 1e6})["perplexity"])


@pytest.mark.parametrize("unit", ["char", "byte"])
def test_baselines_are_in_the_unit_of_the_objective(unit, folder):
    made = task(folder, f"data.unit={unit}")
    found = made.baselines()
    ids = made.vocabulary.encode
    for split in ("valid", "test"):
        held_out = getattr(made.corpus, split)
        nats = unigram_nats(ids(made.corpus.train), ids(held_out), len(made.vocabulary))
        compressed = compressed_bits(made.corpus.train, held_out, ids(held_out).size)
        assert found[f"{split}/bits_per_{unit}"] == {"unigram": nats / math.log(2), **compressed}


def test_words_have_a_unigram_perplexity_alone(folder):
    made = task(folder, "data.unit=word")
    assert {key: set(value) for key, value in made.baselines().items()} == {
        "valid/perplexity": {"unigram"},
        "test/perplexity": {"unigram"},
    }


def test_a_sample_is_the_prompt_and_what_follows(folder, params):
    made = task(folder, 'sample.prompt="the "', "sample.length=30")
    sample = made.sample(params)
    assert sample.startswith("the ")
    assert len(sample) == 34
    assert made.sample(params) == sample


def test_without_a_length_there_is_no_sample(made, params):
    assert made.sample(params) is None


def test_a_config_whose_prompt_has_unknown_characters(folder):
    with pytest.raises(DataError, match="'Z'"):
        task(folder, "sample.prompt=Zoo")


def written(made, params, prompt="", **options):
    options = {"length": 25, "sampling": Sampling(), **options}
    pieces = list(made.write(params, prompt, jax.random.key(3), **options))
    return ["".join(row) for row in zip(*pieces, strict=True)]


@pytest.mark.parametrize("unit", ["char", "byte", "word"])
@pytest.mark.parametrize("prompt", ["", "the cat"])
def test_what_is_streamed_is_what_is_decoded(unit, prompt, folder):
    """Pieces put together are the text that the symbols stand for, the prompt taken off."""
    made = task(folder, f"data.unit={unit}")
    params = made.init(jax.random.key(0))
    (whole,) = written(made, params, prompt, length=70)
    (short,) = written(made, params, prompt, length=5)
    if unit == "byte":  # random bytes: characters may be cut in two at the end
        assert whole
    else:
        assert whole.startswith(short)
        start = made.vocabulary.encode(prompt or "\n")
        ids = made.vocabulary.encode((prompt or "\n") + whole)
        assert ids.size - start.size == 70


def test_rows_are_written_side_by_side(made, params):
    rows = written(made, params, rows=3)
    assert [len(row) for row in rows] == [25, 25, 25]
    assert len(set(rows)) == 3


@pytest.mark.parametrize("unit", ["char", "byte", "word"])
def test_a_line_ends_where_the_text_without_an_end_has_its_first_line_end(unit, folder):
    made = task(folder, f"data.unit={unit}")
    params = made.init(jax.random.key(0))
    # The line end is about as likely as all the rest together.
    params = params._replace(output=params.output._replace(b=params.output.b.at[made.line_end].set(3.0)))
    prompt = "" if unit == "word" else "the cat"
    plain = written(made, params, prompt, length=70, rows=4)
    lines = written(made, params, prompt, length=70, rows=4, end=made.line_end)
    assert lines == [text.partition("\n")[0] for text in plain]
    assert len({len(line) for line in lines}) > 1


def test_characters_of_several_bytes_appear_whole(folder):
    """A model that knows only é writes é, never half of it."""
    made = task(folder, "data.unit=byte")
    params = jax.tree.map(jnp.zeros_like, made.init(jax.random.key(0)))
    first, second = "é".encode()
    # The embedding tells the two bytes apart, the cell copies it, the output asks for the other one.
    embedding = params.embedding.at[first, 0].set(5.0).at[second, 0].set(-5.0).at[ord("\n"), 0].set(-5.0)
    cell = params.cell[0]._replace(w_ih=params.cell[0].w_ih.at[0, 0].set(1.0))
    output = params.output._replace(w=params.output.w.at[0, second].set(50.0).at[0, first].set(-50.0))
    params = params._replace(embedding=embedding, cell=(cell,), output=output)
    pieces = list(made.write(params, "", jax.random.key(0), length=33, sampling=Sampling(temperature=0.0)))
    assert len(pieces) == 2
    assert "".join(row for (row,) in pieces) == "é" * 16 + "\N{REPLACEMENT CHARACTER}"
    assert set(pieces[0][0]) == {"é"}


@pytest.mark.parametrize("prompt", [" ", "   "])
def test_a_prompt_of_blanks_for_a_model_of_words(prompt, folder):
    """There is no word in it, yet there must be something to go on from."""
    made = task(folder, "data.unit=word")
    (row,) = written(made, made.init(jax.random.key(0)), prompt, length=3)
    assert row


def test_a_text_model_comes_back_from_what_a_checkpoint_keeps(folder, made, params):
    restored = TextModel.restore(made.config, made.extra())
    assert isinstance(restored, Writer)
    assert restored.model == made.model
    assert written(restored, params, "the") == written(made, params, "the")
    assert made.extra()["data_sha256"] == made.corpus.fingerprint


def test_a_text_that_is_too_short_for_its_windows(folder):
    with pytest.raises(DataError, match=r"lower data.batch_size or data.window"):
        task(folder, "data.batch_size=500")


@pytest.mark.parametrize("unit", ["char", "byte"])
def test_a_limit_is_for_words(unit, folder):
    with pytest.raises(DataError, match=r"data.vocabulary: a limit is for words"):
        task(folder, f"data.unit={unit}", "data.vocabulary=50")


def test_a_text_without_line_ends_goes_on_from_a_blank(tmp_path):
    config, *assignments = write(tmp_path, PLAIN)
    (tmp_path / "text.txt").write_text(text().replace("\n", " "), encoding="utf-8")
    made = load(config, assignments, SCHEMAS)
    made = TASKS[made.task.name](made)
    assert made.vocabulary.decode(made.prompt_ids("")) == " "


def test_a_limit_to_the_words(folder):
    made = task(folder, "data.unit=word", "data.vocabulary=5")
    assert len(made.vocabulary) == 5
    assert made.model.vocabulary_size == 5


def test_a_path_wins_over_a_name(tmp_path):
    config, *assignments = write(tmp_path, PLAIN)
    made = load(config, [*assignments, "data.name=ptb"], SCHEMAS)
    corpus = TASKS[made.task.name](made).corpus
    assert corpus.train + corpus.valid + corpus.test == text()


def test_a_corpus_may_be_read_in_another_unit(made):
    data = dataclasses.replace(made.config.data, path=None, name="python_docs", unit="byte")
    corpus = load_corpus(data)
    assert (corpus.unit, corpus.name) == ("byte", "python_docs")
    assert corpus.train == load_corpus(dataclasses.replace(data, unit=None)).train


# ------------------------------------------------------------------------------------------------ how likely texts are
@pytest.mark.parametrize("unit", ["char", "byte", "word"])
def test_a_text_is_as_likely_as_its_symbols_step_by_step(unit, folder):
    made = task(folder, f"data.unit={unit}", "data.eval_window=8")
    params = made.init(jax.random.key(0))
    step = jax.jit(made.model.step)
    given = ["the cat sat on a mat.\n", "", "what"]
    for one, found in zip(given, made.score(params, given), strict=True):
        ids = made.vocabulary.encode("\n" + one)
        state, log_p = made.model.initial_state(params), []
        for read, following in itertools.pairwise(ids):
            state, logits = step(params, state, read)
            log_p.append(float(jax.nn.log_softmax(logits)[following]))
        assert found.symbols == tuple(made.vocabulary.symbols[i] for i in ids[1:])
        assert found.log_p == pytest.approx(log_p, rel=1e-5)
        assert found.total == pytest.approx(sum(log_p), rel=1e-5)


def test_what_a_text_costs_is_what_validation_says_of_it_read_as_one(folder, monkeypatch):
    made = task(folder, "data.eval_batch_size=1")
    params = made.init(jax.random.key(0))
    monkeypatch.setitem(made._ids, "valid", made.vocabulary.encode("\n" + made.corpus.valid))
    (found,) = made.score(params, [made.corpus.valid])
    total, weight = measure(made, params, "valid")["loss_nats"]
    assert len(found.log_p) == weight
    assert -found.total == pytest.approx(float(total), rel=1e-5)


def test_unknown_characters_are_scored_as_the_unknown_symbol(made, params):
    (found,) = made.score(params, ["Zoo"])
    assert found.symbols == ("\N{REPLACEMENT CHARACTER}", "o", "o")
    assert np.all(np.isfinite(found.log_p))


def test_a_search_goes_to_the_end_of_the_line(made, params):
    ending = params._replace(
        output=params.output._replace(b=params.output.b.at[made.vocabulary.symbols.index("\n")].set(9))
    )
    first, *others = made.search(ending, "\nthe c", length=6, width=3)
    assert first.text == "\n"
    assert len(others) == 2
    assert all(text.endswith("\n") for text, _ in others)
    (scored,) = made.score(ending, ["the c\n"])
    assert first.log_p == pytest.approx(scored.log_p[-1], rel=1e-3)


def test_a_search_in_a_text_without_line_ends_goes_on(tmp_path):
    config, *assignments = write(tmp_path, PLAIN)
    (tmp_path / "text.txt").write_text(text().replace("\n", " "), encoding="utf-8")
    made = load(config, assignments, SCHEMAS)
    made = TASKS[made.task.name](made)
    (found,) = made.search(made.init(jax.random.key(0)), "", length=7, width=1)
    assert len(found.text) == 7


# ---------------------------------------------------------------------------------------------------- what regularises
@pytest.mark.parametrize("loss", ["mean", "sum_over_time"])
def test_penalties_come_to_the_loss_in_training_alone(loss, folder):
    options = [f"task.loss={loss}", "model.output_dropout=0.5"]
    plain = task(folder, *options)
    made = task(folder, *options, "task.activation_penalty=2.0", "task.temporal_penalty=3.0")
    params = made.init(jax.random.key(0))
    (batch,) = batches(made, 1)
    carry, key = made.initial_carry(params), jax.random.key(4)
    assert_equal(made.loss(params, carry, batch, None), plain.loss(params, carry, batch, None))
    before, (_, sums) = plain.loss(params, carry, batch, key)
    after, (_, others) = made.loss(params, carry, batch, key)
    assert_equal(others, sums)
    _, ys = made.model.features(params, batch.inputs, carry, key=key)
    dropped = np.asarray(made.model.drop(ys, key=key), np.float64)
    ys = np.asarray(ys, np.float64)
    penalty = 2.0 * (dropped**2).mean() + 3.0 * ((ys[:, 1:] - ys[:, :-1]) ** 2).mean()
    steps = 1 if loss == "mean" else batch.inputs.shape[1]
    assert float(after - before) == pytest.approx(penalty * steps, rel=1e-3)


def test_a_window_of_one_step_has_no_change_to_punish(folder):
    made = task(folder, "data.window=1", "task.temporal_penalty=3.0")
    params = made.init(jax.random.key(0))
    loss, _ = made.loss(params, made.initial_carry(params), batches(made, 1)[0], jax.random.key(0))
    assert np.isfinite(loss)


def test_a_short_window_makes_a_small_step(folder):
    made = task(folder, "data.variable_window=true", "data.window=20")
    params = made.init(jax.random.key(0))
    read = batches(made, 30)
    lengths = {batch.inputs.shape[1] for batch in read}
    assert 2 <= len(lengths) <= 10
    for batch in read[:2]:
        loss, (_, sums) = made.loss(params, made.initial_carry(params), batch, None)
        total, weight = sums["loss_nats"]
        assert float(loss) == pytest.approx(float(total / weight), rel=1e-6)
        assert made.pace(batch) == batch.inputs.shape[1] / 20
        assert task(folder).pace(batch) == 1.0
        assert task(folder, "data.variable_window=true", "task.loss=sum_over_time").pace(batch) == 1.0
    assert ", ".join(map(str, made.stream.windows)) in made.describe()[1]


def test_windows_of_any_length_and_accumulated_batches_do_not_go_together(folder):
    with pytest.raises(ConfigError, match=r"data.variable_window needs training.accumulate=1"):
        task(folder, "data.variable_window=true", "training.accumulate=2")


# ----------------------------------------------------------------------------------------------------- pieces of words
@pytest.fixture(scope="module")
def pieces(folder):
    return task(folder, "data.unit=bpe", "data.vocabulary=280")


def test_the_loss_of_pieces_is_told_a_byte_too(pieces):
    params = jax.tree.map(np.zeros_like, pieces.init(jax.random.key(0)))
    for split in ("valid", "test"):
        ids = pieces.vocabulary.encode(getattr(pieces.corpus, split))
        size = pieces.vocabulary.sizes[ids[1:]].sum()
        assert evaluate(pieces, params, split) == {
            "loss_nats": pytest.approx(math.log(280), rel=1e-5),
            "perplexity": pytest.approx(280, rel=1e-4),
            "bits_per_byte": pytest.approx(math.log2(280) * (ids.size - 1) / size, rel=1e-5),
        }
    assert all(np.isfinite(value) for value in pieces.metrics({"loss_nats": 0.0, "bytes_per_token": 0.0}).values())


def test_baselines_of_pieces_are_those_of_bytes(pieces, folder):
    found, others = pieces.baselines(), task(folder, "data.unit=byte").baselines()
    for key in ("valid/bits_per_byte", "test/bits_per_byte"):
        for name in ("gzip", "bz2", "xz"):
            assert found[key][name] == pytest.approx(others[key][name])
        assert found[key]["unigram"] < others[key]["unigram"]


def test_a_model_of_pieces_writes_and_scores_without_the_text(pieces):
    restored = TextModel.restore(pieces.config, pieces.extra())
    params = restored.init(jax.random.key(0))
    assert isinstance(restored, Writer)
    assert restored.vocabulary == pieces.vocabulary
    assert written(restored, params, "the cat") == written(pieces, params, "the cat")
    (found,) = restored.score(params, ["the cat\n"])
    assert "".join(found.symbols) == "theĠcatĊ"
    assert restored.search(params, "the", length=4, width=2)


def test_the_fingerprint_of_pieces_tells_how_the_text_is_cut(pieces, folder):
    other = task(folder, "data.unit=bpe", "data.vocabulary=270")
    assert other.corpus.fingerprint == pieces.corpus.fingerprint
    assert other.extra()["data_sha256"] != pieces.extra()["data_sha256"]


def test_steps_lower_the_loss_of_pieces(pieces):
    params = pieces.init(jax.random.key(0))
    (batch,) = batches(pieces, 1)
    carry = pieces.initial_carry(params)
    loss = jax.jit(jax.value_and_grad(lambda params: pieces.loss(params, carry, batch, None), has_aux=True))
    (before, (_, sums)), gradient = loss(params)
    (after, _), _ = loss(jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient))
    assert float(after) < float(before)
    assert set(sums) == set(pieces.measures)
    assert float(sums["bytes_per_token"][0]) == pieces.vocabulary.sizes[batch.targets].sum()
