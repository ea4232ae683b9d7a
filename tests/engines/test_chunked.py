"""What the engine "chunked" has beyond the contract of all engines: any chunk, and what is left after the last."""

import numpy as np
import pytest
from cases import HIDDEN, STEPS, problem, run
from oracles import assert_close

import seqmodels as sm
from seqmodels.engines import Chunked

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
