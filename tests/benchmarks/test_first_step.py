"""The time to a first step: everyone does the same work, and what is found is told."""

import jax
import jax.numpy as jnp
import pytest

from seqmodels.benchmarks import first_step
from seqmodels.benchmarks.first_step import CONTESTANTS, Sizes, report, run_all, seconds_to_first_step
from seqmodels.errors import UserError

SMALL = Sizes(vocabulary=7, embedding=4, hidden=8, batch=2, window=5)


@pytest.mark.parametrize("name", CONTESTANTS)
def test_everyone_trains_the_same_model(name):
    init, logits = CONTESTANTS[name](SMALL)
    params = init(jax.random.key(0))
    # Embedding, both weights and one bias of the LSTM, output.
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 7 * 4 + (4 + 8 + 1) * 4 * 8 + (8 + 1) * 7
    scores = logits(params, jnp.zeros((2, 5), jnp.int32))
    assert scores.shape == (2, 5, 7)
    with jax.numpy_dtype_promotion("standard"):  # optax's own sums of numbers
        found = seconds_to_first_step(name, SMALL)
    assert 0 < found["init"] < found["first step"]


def test_what_is_found_is_told():
    found = [(name, {"init": 1.0, "first step": seconds}) for name, seconds in zip(CONTESTANTS, (2, 4, 3), strict=True)]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in report(found)[2:]]
    assert rows == [
        ["ours", "1.00 (1.00 to 1.00)", "2.00 (2.00 to 2.00)", "2.00"],
        ["flax linen", "1.00 (1.00 to 1.00)", "4.00 (4.00 to 4.00)", "1.00"],
        ["flax nnx", "1.00 (1.00 to 1.00)", "3.00 (3.00 to 3.00)", "1.33"],
    ]


def test_a_process_that_fails_is_told(monkeypatch):
    monkeypatch.setattr(first_step, "CONTESTANTS", {"nobody": None})
    with pytest.raises(UserError, match=r"nobody: KeyError: 'nobody'"):
        list(run_all(rounds=1))
