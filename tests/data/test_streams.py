import gc
import itertools
import threading

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seqmodels.data.sources import DataError
from seqmodels.data.streams import EvaluationStream, TokenStream, batches


def tokens(count):
    return np.arange(count, dtype=np.int32)


def same(first, second):
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(first, second, strict=True))


def prefetching():
    return [thread for thread in threading.enumerate() if thread.name.startswith("grain")]


def gone(threads):
    for thread in threads:
        thread.join(timeout=30)
    return not any(thread.is_alive() for thread in threads)


def test_windows_by_hand():
    stream = TokenStream(tokens(11), batch_size=2, window=2)
    assert len(stream) == 2
    assert stream[0].inputs.tolist() == [[0, 1], [5, 6]]
    assert stream[0].targets.tolist() == [[1, 2], [6, 7]]
    assert stream[1].inputs.tolist() == [[2, 3], [7, 8]]
    assert stream[1].targets.tolist() == [[3, 4], [8, 9]]
    assert [bool(stream[k].fresh) for k in range(2)] == [True, False]
    with pytest.raises(IndexError):
        stream[2]
    with pytest.raises(IndexError):
        stream[-1]


@given(st.integers(2, 200), st.integers(1, 5), st.integers(1, 9), st.booleans())
def test_rows_go_on_from_window_to_window(count, batch_size, window, shift):
    if count < batch_size * (window + 1):
        return
    stream = TokenStream(tokens(count), batch_size, window, shift=shift)
    epoch = [stream.at(step, seed=3) for step in range(len(stream), 2 * len(stream))]
    inputs = np.concatenate([batch.inputs for batch in epoch], axis=1)
    targets = np.concatenate([batch.targets for batch in epoch], axis=1)
    np.testing.assert_array_equal(targets, (inputs + 1) % count)
    np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
    assert len(np.unique(inputs)) == inputs.size
    assert {(batch.inputs.dtype, batch.targets.dtype) for batch in epoch} == {(np.dtype("int32"), np.dtype("int32"))}
    assert [bool(batch.fresh) for batch in epoch] == [True] + [False] * (len(stream) - 1)
    assert isinstance(epoch[0].fresh, np.bool_)
    row = count // batch_size
    assert row - 1 - window < inputs.shape[1] <= row - 1


def test_without_shift_every_epoch_is_the_same_whatever_the_seed():
    stream = TokenStream(tokens(50), 2, 5)
    for step in range(2 * len(stream)):
        assert same(stream.at(step, seed=step), stream[step % len(stream)])


def test_shift_moves_the_borders_with_epoch_and_seed():
    stream = TokenStream(tokens(1000), 2, 64, shift=True)
    starts = {
        (seed, epoch): int(stream.at(epoch * len(stream), seed).inputs[0, 0])
        for seed in range(-2, 3)
        for epoch in range(20)
    }
    assert all(0 <= start < 64 for start in starts.values())
    assert len(set(starts.values())) > 40
    for seed in range(-2, 3):
        assert len({starts[seed, epoch] for epoch in range(20)}) > 10


def test_shift_draws_the_numbers_it_always_drew():
    # A resumed run must meet the borders that it left, also under another version of a library.
    stream = TokenStream(tokens(1000), 2, 64, shift=True)
    assert [int(stream.at(epoch * len(stream), seed=7).inputs[0, 0]) for epoch in range(4)] == [24, 24, 53, 29]


def variable(count=3000, batch_size=2, window=70, **options):
    return TokenStream(tokens(count), batch_size, window, variable=True, **options)


@example(count=126, batch_size=2, window=2, shift=False)  # a sample of one window more does not fit, but two windows do
@given(st.integers(2, 200), st.integers(1, 5), st.integers(1, 29), st.booleans())
def test_rows_go_on_from_window_to_window_of_another_length(count, batch_size, window, shift):
    if count < batch_size * (window + 1):
        return
    stream = variable(count, batch_size, window, shift=shift)
    epoch = [stream.at(step, seed=3) for step in range(len(stream), 2 * len(stream))]
    inputs = np.concatenate([batch.inputs for batch in epoch], axis=1)
    targets = np.concatenate([batch.targets for batch in epoch], axis=1)
    np.testing.assert_array_equal(targets, (inputs + 1) % count)
    np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
    assert len(np.unique(inputs)) == inputs.size
    assert [bool(batch.fresh) for batch in epoch] == [True] + [False] * (len(stream) - 1)
    assert count // batch_size - 1 - window < inputs.shape[1] <= count // batch_size - 1


def test_lengths_of_windows_are_a_sample_of_two_normal_distributions():
    stream = variable(200_000)
    lengths = np.array([stream.at(step, 0).inputs.shape[1] for step in range(len(stream))])
    assert stream.windows == (25, 30, 35, 40, 45, 60, 65, 70, 75, 80)
    assert set(lengths.tolist()) == set(stream.windows)
    short = lengths < 50
    assert abs(short.mean() - 0.05) < 0.002
    for near, middle in ((lengths[short], 35), (lengths[~short], 70)):
        assert abs(near.mean() - middle) < 0.4
    assert abs(lengths[~short].std() - 5.0) < 0.3


@pytest.mark.parametrize("window", [1, 2, 20, 35, 70, 1000])
def test_windows_of_few_lengths(window):
    stream = variable(400_000, 2, window)
    assert 1 <= len(stream.windows) <= 10
    assert min(stream.windows) >= 1


def test_seed_and_epoch_decide_the_order_of_lengths():
    stream = variable(20_000)
    size = len(stream)

    def lengths(seed, epoch):
        return tuple(stream.at(epoch * size + index, seed).inputs.shape[1] for index in range(size))

    orders = {lengths(seed, epoch) for seed in (-1, 0, 1) for epoch in (0, 1, 50)}
    assert len(orders) == 9
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(lengths(0, 0)))}
    assert lengths(0, 1) == lengths(0, 1)


def test_the_smallest_stream_and_one_token_less():
    assert len(TokenStream(tokens(12), batch_size=3, window=3)) == 1
    with pytest.raises(DataError, match=r"has 11 tokens.* need 12; lower data\.batch_size or data\.window"):
        TokenStream(tokens(11), batch_size=3, window=3)


@pytest.mark.parametrize("stream", [TokenStream, EvaluationStream])
@pytest.mark.parametrize(("batch_size", "window"), [(0, 1), (1, 0)])
def test_sizes_must_be_positive(stream, batch_size, window):
    with pytest.raises(DataError, match="must be at least 1"):
        stream(tokens(9), batch_size, window)


def test_evaluation_by_hand():
    stream = EvaluationStream(tokens(9), batch_size=3, window=2)
    first, second = stream
    assert first.inputs.tolist() == [[0, 1], [3, 4], [6, 7]]
    assert first.targets.tolist() == [[1, 2], [4, 5], [7, 8]]
    assert first.mask.all()
    assert second.inputs[:2, 0].tolist() == [2, 5]
    assert second.targets[:2, 0].tolist() == [3, 6]
    assert second.mask.tolist() == [[True, False], [True, False], [False, False]]
    assert [bool(batch.fresh) for batch in stream] == [True, False]
    with pytest.raises(IndexError):
        stream[2]


@given(st.integers(2, 200), st.integers(1, 9), st.integers(1, 9))
def test_evaluation_asks_for_every_prediction_once(count, batch_size, window):
    epoch = list(EvaluationStream(tokens(count), batch_size, window))
    assert {array.shape for batch in epoch for array in batch[:3]} == {(batch_size, window)}
    assert {(b.inputs.dtype, b.mask.dtype) for b in epoch} == {(np.dtype("int32"), np.dtype("bool"))}
    asked = np.concatenate([batch.targets[batch.mask] for batch in epoch])
    assert sorted(asked.tolist()) == list(range(1, count))
    assert all(np.array_equal(b.targets[b.mask], b.inputs[b.mask] + 1) for b in epoch)
    for row in range(batch_size):
        read = np.concatenate([batch.inputs[row][batch.mask[row]] for batch in epoch])
        np.testing.assert_array_equal(np.diff(read), 1)
    assert all(batch.mask.any() for batch in epoch)


def test_evaluation_needs_something_to_predict():
    with pytest.raises(DataError, match="has 1 tokens"):
        EvaluationStream(tokens(1), 1, 1)


@pytest.mark.parametrize(("shift", "variable"), [(False, False), (True, False), (True, True)])
def test_a_batch_depends_on_seed_and_step_alone(shift, variable):
    stream = TokenStream(tokens(60), 2, 7, shift=shift, variable=variable)
    for start in (0, 1, len(stream), 3 * len(stream) + 2):
        reading = batches(stream, seed=5, start=start)
        for step, batch in enumerate(itertools.islice(reading, 2 * len(stream) + 1), start):
            assert same(batch, stream.at(step, seed=5))
        reading.close()


def test_batches_are_prepared_in_a_thread_that_ends_on_close():
    before = prefetching()
    reading = batches(TokenStream(tokens(60), 2, 7), seed=0)
    next(reading)
    started = [thread for thread in prefetching() if thread not in before]
    assert len(started) == 1
    reading.close()
    assert gone(started)


def test_batches_that_are_dropped_leave_no_thread():
    before = prefetching()
    reading = batches(TokenStream(tokens(60), 2, 7), seed=0)
    next(reading)
    started = [thread for thread in prefetching() if thread not in before]
    assert len(started) == 1
    del reading
    gc.collect()
    assert gone(started)
