"""Digits as sequences: orders, batches, epochs."""

import itertools

import jax
import numpy as np
import pytest
from oracles import assert_equal

from seqmodels.data.mnist import Images
from seqmodels.data.problems.digits import DigitBatch, DigitStream, Mnist
from seqmodels.data.sources import DataError


def images(number, seed=0):
    random = np.random.default_rng(seed)
    return Images(random.integers(0, 256, (number, 28, 28), np.uint8), random.integers(0, 10, number).astype(np.int32))


def stream(number=23, **settings):
    splits = {split: images(size, seed) for seed, (split, size) in enumerate([("train", number), ("valid", 7)])}
    return DigitStream(Mnist(**{"batch_size": 5, "eval_batch_size": 4, **settings}), splits)


def batch(number=3):
    return DigitBatch(*images(number), np.ones(number, bool))


def test_the_orders_read_the_same_pixels():
    pixels = batch().pixels / np.float32(255)
    rows, single, permuted = (Mnist(order=order).examples(batch()) for order in ("rows", "pixels", "permuted"))
    np.testing.assert_allclose(rows.inputs, pixels, rtol=1e-6)
    np.testing.assert_allclose(single.inputs, pixels.reshape(3, 784, 1), rtol=1e-6)
    assert np.any(permuted.inputs != single.inputs)
    np.testing.assert_array_equal(np.sort(permuted.inputs, axis=1), np.sort(single.inputs, axis=1))
    places = [np.argsort(np.argsort(found.inputs[0, :, 0], kind="stable")) for found in (permuted, single)]
    assert np.corrcoef(*places)[0, 1] < 0.2


@pytest.mark.parametrize(("order", "steps"), [("rows", 28), ("pixels", 784), ("permuted", 784)])
def test_the_digit_is_asked_for_at_the_end(order, steps):
    problem = Mnist(order=order)
    inputs, targets, counted = jax.jit(problem.examples)(batch())
    assert inputs.shape == (3, steps, problem.input_size)
    assert np.argwhere(counted).tolist() == [[row, steps - 1] for row in range(3)]
    assert targets[:, -1].tolist() == batch().labels.tolist()


def test_the_majority_is_a_one():
    (scores,) = Mnist().simple(Mnist().examples(batch())).values()
    assert scores.shape == (3, 28, 10)
    assert set(scores.argmax(axis=-1).ravel().tolist()) == {1}
    np.testing.assert_allclose(np.exp(scores).sum(axis=-1), 60_000, rtol=1e-5)


def test_an_epoch_has_no_image_twice_and_each_its_own_order():
    made = stream()
    assert len(made) == 4
    epochs = [[made.at(step, seed) for step in range(first, first + 4)] for first, seed in ((0, 0), (4, 0), (0, 1))]
    orders = [[image.tobytes() for one in epoch for image in one.pixels] for epoch in epochs]
    assert all(len(set(order)) == 20 for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    known = {image.tobytes(): label for image, label in zip(*images(23), strict=True)}
    assert all(known[image.tobytes()] == label for one in epochs[0] for image, label in zip(*one[:2], strict=True))
    assert_equal(list(itertools.islice(made.batches(0, 2), 5)), [made.at(step, 0) for step in range(2, 7)])


def test_evaluation_has_every_image_once():
    batches = list(stream().evaluation("valid"))
    assert [one.pixels.shape for one in batches] == [(4, 28, 28)] * 2
    assert_equal(np.concatenate([one.pixels[one.mask] for one in batches]), images(7, seed=1).pixels)


def test_images_and_order_decide_the_fingerprint_and_the_folder_does_not(tmp_path):
    others = [stream(order="pixels"), stream(number=24), stream()]
    assert len({made.fingerprint for made in others}) == 3
    assert stream(dir=str(tmp_path)).fingerprint == stream().fingerprint


def test_too_few_images_for_a_batch():
    with pytest.raises(DataError, match=r"there are 23 training images; lower data.batch_size=50"):
        stream(batch_size=50)


def test_the_folder_is_made_whole():
    assert Mnist(dir="digits").dir.startswith("/")
