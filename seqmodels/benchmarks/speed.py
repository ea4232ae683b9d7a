"""An LSTM's training step, ours by engine and others', case by case."""

import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.benchmarks import contestants
from seqmodels.benchmarks.cases import Case, Data
from seqmodels.benchmarks.peers import JAX_PEERS, PEERS
from seqmodels.benchmarks.precision import compute_type, products
from seqmodels.benchmarks.timing import Samples, measure
from seqmodels.cells.products import product

OURS = "ours, "
TORCH = "torch"
IN_FLOAT32 = " in float32"
"""Ends the names of ours that are measured in float32 beside a narrower type."""

PEAK_SIZES = {"cpu": 1024, "gpu": 8192}
"""Rows and columns of a large product: on a GPU one of 1024 is over before all of it is at work."""


class Outcome(NamedTuple):
    """What was measured on one case in one type.

    Attributes:
      case: the sizes.
      dtype: one of `seqmodels.benchmarks.precision.TYPES`.
      samples: seconds of everyone.
      errors: of everyone's gradients against float64, relative.
      compile_s: seconds to trace and compile, where XLA does.
      temporary: bytes of temporary memory, where XLA says.
      bound_s: the time of the products alone at the speed of a large one of this type.
      absent: who is not installed, or is for a GPU or another type.
      floor_s: the time of the products alone that have to come one after the other; None: not asked for.
    """

    case: Case
    dtype: str
    samples: Samples
    errors: dict[str, float]
    compile_s: dict[str, float]
    temporary: dict[str, int]
    bound_s: float
    absent: tuple[str, ...]
    floor_s: float | None = None

    def best(self, names: Iterable[str]) -> str:
        """The fastest of those named, by its median."""
        return min(names, key=self.samples.median)

    @property
    def peers(self) -> list[str]:
        """The other JAX libraries."""
        return [name for name in self.samples.seconds if name in JAX_PEERS]

    def against(self, name: str) -> dict[str, float]:
        """How many times faster `name` is than the best JAX peer, torch and itself in float32, as far as measured."""
        found = {}
        if self.peers:
            found["best JAX peer"] = self.samples.ratio(name, self.best(self.peers))
        if TORCH in self.samples.seconds:
            found[TORCH] = self.samples.ratio(name, TORCH)
        if name + IN_FLOAT32 in self.samples.seconds:
            found["ours in float32"] = self.samples.ratio(name, name + IN_FLOAT32)
        return found


def run_case(
    case: Case, dtype: str, *, engines: Sequence[str], peers: Sequence[str], rounds: int, floor: bool = False
) -> Outcome:
    """Measures one case."""
    with products(dtype):
        found = _run_case(case, dtype, engines, peers, rounds)
        if not floor:
            return found
        alone = contestants.floor(Data.of(case), compute_type(dtype))
        return found._replace(floor_s=measure({"floor": alone}, rounds=rounds).median("floor"))


def _run_case(case: Case, dtype: str, engines: Sequence[str], peers: Sequence[str], rounds: int) -> Outcome:
    data, compute = Data.of(case), compute_type(dtype)
    expected = contestants.reference(data)
    kinds = {compute: ""} if compute == "float32" else {compute: "", "float32": IN_FLOAT32}
    builders: dict[str, Callable[[], contestants.Contestant]] = {
        OURS + engine + mark: functools.partial(contestants.ours, data, kind, engine)
        for kind, mark in kinds.items()
        for engine in engines
    }
    builders |= {name: functools.partial(PEERS[name], data, compute) for name in peers}
    runs, errors, compile_s, temporary, absent = {}, {}, {}, {}, []
    for name, build in builders.items():
        began = time.perf_counter()
        try:
            contestant = build()
        except ImportError:
            absent.append(name)
            continue
        if contestant.compiled is not None:
            compile_s[name] = time.perf_counter() - began
            temporary[name] = int(contestant.compiled.memory_analysis().temp_size_in_bytes)
        runs[name] = contestant.run
        errors[name] = contestants.error(contestant.gradients(), expected)
    samples = measure(runs, rounds=rounds)
    return Outcome(case, dtype, samples, errors, compile_s, temporary, case.flops / peak(dtype), tuple(absent))


@functools.cache
def peak(dtype: str) -> float:
    """Floating-point operations a second of a large matrix product in one of the types here: the most of 25 tries."""
    size = PEAK_SIZES.get(jax.default_backend(), PEAK_SIZES["gpu"])
    x = jnp.ones((size, size), compute_type(dtype))
    with products(dtype):
        run: Any = jax.jit(lambda x: product(x, x))
        seconds = measure({"product": lambda: run(x).block_until_ready()}, rounds=25).seconds["product"]
    return 2 * size**3 / min(seconds)


def run_all(
    cases: Sequence[Case],
    dtypes: Sequence[str],
    *,
    engines: Sequence[str],
    peers: Sequence[str],
    rounds: int,
    floor: bool = False,
) -> Iterator[Outcome]:
    """Case by case, so that what is done stays if the rest is stopped."""
    for dtype in dtypes:
        for case in cases:
            yield run_case(case, dtype, engines=engines, peers=peers, rounds=rounds, floor=floor)


def geometric_mean(values: Iterable[float]) -> float:
    """The mean that ratios have.

    Example:
      >>> round(geometric_mean([0.5, 2.0]), 6)
      1.0
    """
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def as_json(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Every sample."""
    return [
        {**outcome._asdict(), "case": outcome.case._asdict(), "samples": outcome.samples.seconds}
        for outcome in outcomes
    ]
