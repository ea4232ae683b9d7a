"""A model shared by devices: every engine and cell gives what it gives on one, and loops exchange no more than h."""

import json
from pathlib import Path

import pytest
from oracles import RTOL
from partition import CASES
from small import ROOT, python

ONE_EACH_WAY = [["all-gather"], ["all-reduce"]]
"""Forwards h is put together, backwards its gradient is added up: the least there can be."""

LOOPS = {
    "lstm, fused": ONE_EACH_WAY,
    "peepholes, fused": ONE_EACH_WAY,
    "weight drop, fused": ONE_EACH_WAY,
    "two directions, fused": ONE_EACH_WAY,
    "rnn, fused": ONE_EACH_WAY,
    "stack, fused": [["all-gather"]] * 2 + [["all-reduce"]] * 2,
    "slstm, fused": [],
    "indrnn, fused": [["all-reduce"]],
    "minlstm, scan": [],
    "lru, associative": [],
}
"""What each loop exchanges at every step; heads, and units that do not meet in the recurrence, exchange nothing.

Backwards the gradient of what gates read beside u and r, here the recurrent weights of IndRNN, is added up over rows.
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
