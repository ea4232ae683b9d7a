"""The task of polyphonic music: its measures, baselines and samples."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_equal
from small import ROLLS, result, write
from small import task as small_task

from seqmodels.cli import main
from seqmodels.data.piano_rolls import RollBatch
from seqmodels.tasks.key_baselines import KeyTable
from seqmodels.tasks.music import before, expected_keys, measure_frames
from seqmodels.training.evaluation import evaluate, measure


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return small_task(tmp_path_factory.mktemp("music"), toml=ROLLS)


def plainly(pieces, shares_of):
    """Nats a frame and accuracy, piece by piece, frame by frame; `shares_of` gives the shares of a piece, [T, 88]."""
    nats, right, either = [], 0, 0
    for piece in pieces:
        for frame, shares in zip(piece, shares_of(piece), strict=True):
            nats.append(-sum(math.log(p if sounds else 1 - p) for sounds, p in zip(frame, shares, strict=True)))
            right += np.sum((shares > 0.5) & (frame == 1))
            either += np.sum((shares > 0.5) | (frame == 1))
    return {"frame_nats": pytest.approx(np.mean(nats), rel=1e-5), "accuracy": pytest.approx(right / max(either, 1))}


def test_measures_are_those_of_numpy(made):
    """Each piece read alone, the frame before at each step, silence first."""
    params = jax.tree.map(lambda leaf: 3.0 * leaf, made.init(jax.random.key(1)))
    apply = jax.jit(made.model.apply)

    def shares_of(piece):
        read = np.zeros((1, 16, 88), np.float32)
        read[0, 1 : len(piece)] = piece[:-1]
        return 1 / (1 + np.exp(-np.asarray(apply(params, read)[1][0, : len(piece)], np.float64)))

    assert evaluate(made, params, "test") == plainly(made.music.splits["test"], shares_of)


def test_baselines_are_counted_by_hand(made):
    train = made.music.splits["train"]
    frames = np.concatenate(train)
    often = (frames.sum(axis=0) + 1) / (len(frames) + 2)
    counts = np.array([[[1.0, 2.0]] * 88] * 2)  # [before, key, (sounds, all)]
    for piece in train:
        for last, frame in zip([np.zeros(88, int), *piece.astype(int)], piece, strict=False):
            for key in range(88):
                counts[last[key], key] += frame[key], 1
    after = counts[..., 0] / counts[..., 1]

    def remembered(piece):
        lasts = np.concatenate([np.zeros((1, 88), int), piece[:-1]]).astype(int)
        return np.stack([after[last, range(88)] for last in lasts])

    found = made.baselines()
    for split in ("valid", "test"):
        pieces = made.music.splits[split]
        expected = {
            "frequencies": plainly(pieces, lambda piece: [often] * len(piece)),
            "frame before": plainly(pieces, remembered),
        }
        for metric in ("frame_nats", "accuracy"):
            assert found[f"{split}/{metric}"] == {method: numbers[metric] for method, numbers in expected.items()}


def test_silence_that_never_ends_is_not_certain():
    table = KeyTable.fit([np.zeros((8, 88), np.uint8)])
    assert table.measure([np.ones((1, 88), np.uint8)])["frame_nats"] == pytest.approx(88 * math.log(10))


@pytest.mark.parametrize("rows", [1, 4])
def test_the_first_piece_of_the_test_is_drawn_with_what_was_expected_of_it(rows, tmp_path):
    task = small_task(tmp_path, f"data.eval_batch_size={rows}", toml=ROLLS)
    params = task.init(jax.random.key(1))
    piece = task.music.splits["test"][0]
    drawn = task.pictures(measure(task, params, "test"))["piano_roll"]
    read = np.zeros((1, len(piece), 88), np.float32)
    read[0, 1:] = piece[:-1]
    np.testing.assert_array_equal(drawn.played, piece)
    np.testing.assert_allclose(drawn.expected, jax.nn.sigmoid(task.model.apply(params, read)[1][0]), rtol=1e-5)
    assert drawn.lowest == 21


def test_what_is_drawn_of_a_long_piece_is_its_beginning():
    scores = jnp.arange(2 * 100 * 88.0).reshape(2, 100, 88) / 1e4
    total, weight = expected_keys(scores, jnp.array([False, True]))
    np.testing.assert_allclose(total, jax.nn.sigmoid(scores[1, :64]), rtol=1e-6)
    assert float(weight) == 1.0


def test_what_is_beyond_a_piece_counts_for_nothing(made):
    params = made.init(jax.random.key(0))
    frames = np.zeros((2, 8, 88), np.uint8)
    lengths = np.array([5, 0], np.int32)
    loss = jax.jit(lambda frames: made.loss(params, None, RollBatch(frames, lengths, np.zeros(2, bool)), None))
    found = loss(frames)
    frames[0, 5:], frames[1] = 1, 1
    assert_equal(loss(frames), found)
    assert float(found[1][1]["frame_nats"][1]) == 5.0


def test_a_frame_is_told_by_those_before_it_alone():
    frames = jnp.arange(12.0).reshape(1, 4, 3)
    assert before(frames)[0].tolist() == [[0.0, 0.0, 0.0], *frames[0, :3].tolist()]


def test_accuracy_is_of_the_keys_that_sound():
    played = jnp.zeros((1, 1, 88)).at[0, 0, :3].set(1.0)
    scores = jnp.full((1, 1, 88), -9.0).at[0, 0, 1:5].set(9.0)
    right, either = measure_frames(scores, played, jnp.array([1]))["accuracy"]
    assert (float(right), float(either)) == (2.0, 5.0)


def test_a_sample_is_a_piece_in_names(made):
    params = made.init(jax.random.key(0))
    quiet = params._replace(output=params.output._replace(b=jnp.full(88, -30.0).at[39].set(30.0)))
    assert made.sample(quiet) == "C4  x 16"
    assert made.sample(params) == made.sample(params)
    assert len(made.sample(params).splitlines()) == 16


def test_a_run_and_its_evaluation(tmp_path, capsys):
    assert main(["train", *write(tmp_path, ROLLS), "sample.frames=0"]) == 0
    run = tmp_path / "runs" / "small"
    assert not (run / "samples.txt").exists()
    capsys.readouterr()
    assert main(["evaluate", str(run)]) == 0
    assert f"frame {result(run)['metrics']['test/frame_nats']:.4g} nats" in capsys.readouterr().out
    assert main(["generate", str(run)]) == 2
    assert "its task, music, writes no text" in capsys.readouterr().err
