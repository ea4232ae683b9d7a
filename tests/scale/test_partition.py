"""A model shared by devices: every engine and cell gives what it gives on one, and loops exchange no more than h."""

import json
from pathlib import Path

import pytest
from oracles import RTOL
from partition import CASES
from small import ROOT, python

ONE_EACH_WAY = ["all-gather", "all-reduce"]
"""Forwards h is put together, backwards its gradient is added up: the least there can be."""

LOOPS = {
    "lstm, fused": ONE_EACH_WAY,
    "lstm, fused and apart": ONE_EACH_WAY,
    "lstm, fused and packed": ONE_EACH_WAY,
    "lstm, chunked": ["all-gather", *ONE_EACH_WAY],
    "peepholes, fused": [*ONE_EACH_WAY, "all-reduce"],
    "weight drop, fused": ONE_EACH_WAY,
    "two directions, fused": ONE_EACH_WAY,
    "rnn, fused": ONE_EACH_WAY,
    "gru, fused": [*ONE_EACH_WAY, "all-reduce"],
    "stack, fused": sorted(2 * ONE_EACH_WAY),
    "lstmp, fused": ["all-reduce"] * 2,
    "layer_norm_lstm, fused": [*ONE_EACH_WAY, *["all-reduce"] * 13],
    "slstm, fused": [],
    "indrnn, fused": ["all-reduce"],
    "minlstm, scan": [],
    "lru, associative": [],
}
"""What innermost loops exchange at every step; heads, and units that do not meet in the recurrence, exchange nothing.

Backwards the gradient of what gates read beside u and r, such as peepholes, the GRU's `b_hn` or the recurrent weights
of IndRNN, is added up over rows, all of it at once. Chunks are run forwards twice. LSTMP's projection is a sum over
units; layer norms add up means and variances of gates, and their gradients.
"""


@pytest.fixture(scope="module")
def found():
    """What a process with four devices says of all cases."""
    here = Path(__file__).parent
    done = python(
        str(here / "partition.py"),
        JAX_NUM_CPU_DEVICES="4",
        PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}",
        JAX_NUMPY_DTYPE_PROMOTION="strict",
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", CASES)
def test_shared_by_four_devices_a_cell_gives_what_it_gives_on_one(found, case):
    assert found[case]["apart"] <= RTOL["float32"]


@pytest.mark.parametrize("case", LOOPS)
def test_what_loops_exchange(found, case):
    assert found[case]["loops"] == LOOPS[case]
