"""What the engine "chunked" has beyond the contract of all engines: any chunk, and what is left after the last."""

import numpy as np
import pytest
from cases import HIDDEN, STEPS, cast, problem, run
from oracles import assert_close, assert_equal

import seqmodels as sm
from seqmodels.engines import Chunked
from seqmodels.engines.chunked import _near_root

LENGTHS = np.array([STEPS, 4, 0])
RESETS = np.arange(3 * STEPS).reshape(3, STEPS) % 5 == 2


@pytest.mark.parametrize("chunk", [None, 1, 2, STEPS - 1, STEPS, 100])
def test_any_chunk_gives_the_same(chunk, x64):
    cell = sm.LearnedState(sm.LSTM(HIDDEN))
    given = problem(cell)
    expected = run(cell, given, LENGTHS, RESETS, method="scan", reverse=False)
    assert_close(run(cell, given, LENGTHS, RESETS, method=Chunked(chunk), reverse=False), expected, np.float64)


def test_a_chunk_has_steps():
    with pytest.raises(ValueError, match="at least 1 step"):
        Chunked(chunk=0)


@pytest.mark.parametrize(("steps", "size"), [(1, 1), (7, 2), (100, 10), (1000, 25), (16384, 128)])
def test_chunks_divide_the_steps_where_they_can(steps, size):
    assert _near_root(steps) == size


def test_no_steps_at_all():
    cell = sm.LSTM(HIDDEN)
    given = cast(problem(cell), np.float32)
    state, ys = sm.unroll(cell, given.params, given.xs[:, :0], given.state, method="chunked")
    assert_equal(state, given.state)
    assert ys.shape == (3, 0, HIDDEN)
