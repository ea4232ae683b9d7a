"""How long it takes until a first training step is done, compilation included, each time in a new process."""

import importlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import optax

from seqmodels.benchmarks.report import table
from seqmodels.benchmarks.timing import Samples
from seqmodels.cells import LSTM
from seqmodels.errors import UserError
from seqmodels.models import LanguageModel

Init = Callable[[jax.Array], Any]
Logits = Callable[[Any, jax.Array], jax.Array]


class Sizes(NamedTuple):
    """Those of `configs/char_lm.toml`."""

    vocabulary: int = 100
    embedding: int = 64
    hidden: int = 256
    batch: int = 32
    window: int = 64


def ours(sizes: Sizes) -> tuple[Init, Logits]:
    """`seqmodels.models.LanguageModel`, with the engine "auto"."""
    model = LanguageModel(sizes.vocabulary, sizes.embedding, LSTM(sizes.hidden))
    return jax.jit(model.init), lambda params, tokens: model.apply(params, tokens)[1]


def flax_linen(sizes: Sizes) -> tuple[Init, Logits]:
    """`nn.Embed`, `nn.RNN(nn.OptimizedLSTMCell)`, `nn.Dense`."""
    nn = importlib.import_module("flax.linen")
    model = nn.Sequential(
        [
            nn.Embed(sizes.vocabulary, sizes.embedding),
            nn.RNN(nn.OptimizedLSTMCell(sizes.hidden)),
            nn.Dense(sizes.vocabulary),
        ]
    )
    tokens = jnp.zeros((sizes.batch, sizes.window), jnp.int32)
    return jax.jit(lambda key: model.init(key, tokens)), model.apply


def flax_nnx(sizes: Sizes) -> tuple[Init, Logits]:
    """`nnx.Embed`, `nnx.RNN(nnx.OptimizedLSTMCell)`, `nnx.Linear`, split into parameters and the rest."""
    nnx = importlib.import_module("flax.nnx")
    parts: list[Any] = []

    @nnx.jit  # type: ignore[untyped-decorator]  # flax leaves it so
    def layers(key: jax.Array) -> Any:
        rngs = nnx.Rngs(key)
        return nnx.List(
            [
                nnx.Embed(sizes.vocabulary, sizes.embedding, rngs=rngs),
                nnx.RNN(nnx.OptimizedLSTMCell(sizes.embedding, sizes.hidden, rngs=rngs)),
                nnx.Linear(sizes.hidden, sizes.vocabulary, rngs=rngs),
            ]
        )

    def init(key: jax.Array) -> Any:
        graph, params, rest = nnx.split(layers(key), nnx.Param, ...)
        parts[:] = graph, rest
        return params

    def logits(params: Any, tokens: jax.Array) -> jax.Array:
        graph, rest = parts
        embed, recurrent, dense = nnx.merge(graph, params, rest)
        zeros = jnp.zeros((tokens.shape[0], sizes.hidden))
        scores: jax.Array = dense(recurrent(embed(tokens), initial_carry=(zeros, zeros)))
        return scores

    return init, logits


CONTESTANTS: Final[dict[str, Callable[[Sizes], tuple[Init, Logits]]]] = {
    "ours": ours,
    "flax linen": flax_linen,
    "flax nnx": flax_nnx,
}
"""By name; flax comes with this library."""


def seconds_to_first_step(name: str, sizes: Sizes = Sizes()) -> dict[str, float]:  # noqa: B008 (a tuple)
    """From a process in which JAX has started to the end of the first step: parameters, compilation, gradients, Adam.

    Everyone's parameters are made under jit, which is faster for all.

    Returns:
      Seconds until the parameters are there ("init"), and until the first step is done ("first step").
    """
    init, logits = CONTESTANTS[name](sizes)
    tokens = jax.random.randint(jax.random.key(1), (sizes.batch, sizes.window + 1), 0, sizes.vocabulary)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.004))

    def loss(params: Any, tokens: jax.Array) -> jax.Array:
        scores = logits(params, tokens[:, :-1])
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, tokens[:, 1:]))

    @jax.jit
    def step(params: Any, opt_state: Any, tokens: jax.Array) -> tuple[Any, Any, jax.Array]:
        value, slopes = jax.value_and_grad(loss)(params, tokens)
        updates, opt_state = optimizer.update(slopes, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    began = time.perf_counter()
    params = jax.block_until_ready(init(jax.random.key(0)))  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    ready = time.perf_counter()
    jax.block_until_ready(step(params, optimizer.init(params), tokens))  # type: ignore[no-untyped-call]  # as above
    return {"init": ready - began, "first step": time.perf_counter() - began}


def run_all(*, rounds: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Each contestant once a round, in an order shuffled anew, in a process of its own that has nothing compiled.

    Yields:
      The name, and what `seconds_to_first_step` found.

    Raises:
      UserError: if a process fails.
    """
    for number in range(rounds):
        order = list(CONTESTANTS)
        random.Random(number).shuffle(order)
        for name in order:
            child = subprocess.run(
                [sys.executable, "-m", "seqmodels.benchmarks.first_step", name],
                env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"},
                capture_output=True,
                text=True,
                check=False,
            )
            if child.returncode:
                raise UserError(f"{name}: {(child.stderr.strip() or 'it failed').splitlines()[-1]}")
            yield name, json.loads(child.stdout)


def report(found: list[tuple[str, dict[str, float]]]) -> list[str]:
    """A table of medians with quartiles, and how many times sooner than flax linen, round by round."""
    by_part = {
        part: Samples({name: [each[part] for own, each in found if own == name] for name in CONTESTANTS})
        for part in ("init", "first step")
    }
    rows = []
    for name in CONTESTANTS:
        cells = []
        for samples in by_part.values():
            low, high = samples.quartiles(name)
            cells.append(f"{samples.median(name):.2f} ({low:.2f} to {high:.2f})")
        rows.append((name, *cells, f"{by_part['first step'].ratio(name, to='flax linen'):.2f}"))
    return table(
        ["", "Parameters, s (quartiles)", "First step done, s (quartiles)", "times sooner than flax linen"], rows
    )


if __name__ == "__main__":
    print(json.dumps(seconds_to_first_step(sys.argv[1])))
