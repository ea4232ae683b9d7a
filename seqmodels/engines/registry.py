"""Which engines there are, and which one `auto` takes."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from seqmodels.cells.base import Cell, Composite, GatedCell, LinearCell, PyTree
from seqmodels.engines.associative import Associative
from seqmodels.engines.chunked import Chunked
from seqmodels.engines.engine import Engine
from seqmodels.engines.fused import Fused
from seqmodels.engines.newton import Newton
from seqmodels.engines.scan import Scan

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (Scan(), Fused(), Chunked(), Associative(), Newton())}
"""Every engine by its name, with its default options."""


def names_for(cell: Cell | Composite) -> tuple[str, ...]:
    """The names of the engines that can run `cell`; of a composite, those that can run all its parts.

    Example:
      >>> import seqmodels as sm
      >>> names_for(sm.LSTM(hidden_size=4))
      ('scan', 'fused', 'chunked', 'newton')
    """
    return tuple(name for name, engine in ENGINES.items() if _can_run(engine, cell))


def _can_run(engine: Engine, cell: Cell | Composite) -> bool:
    if isinstance(cell, Composite):
        return all(_can_run(engine, part) for part in cell.parts)
    return isinstance(cell, engine.kinds)


class Call(NamedTuple):
    """What "auto" looks at beside the kind of cell.

    Attributes:
      backend: "cpu", "gpu" or "tpu".
      steps: T.
      state_bytes: what the states of all steps and rows take up.
    """

    backend: str
    steps: int
    state_bytes: int

    @classmethod
    def of(cls, state: PyTree, steps: int, backend: str | None = None) -> "Call":
        """A run of so many steps from a state, whose leaves may be shapes alone.

        A size that is left open, as `jax.export` does, counts as 1.
        """
        steps = _known(steps)
        numbers = sum(math.prod(map(_known, leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
        return cls(backend or jax.default_backend(), steps, steps * numbers)


def _known(size: Any) -> int:
    return size if isinstance(size, int) else 1


class Rule(NamedTuple):
    """What "auto" takes for cells of a kind, when, and why; the figures are from docs/benchmarks.md."""

    kind: Any  # a class, abstract ones included
    engine: str
    fits: Callable[[Call], bool]
    when: str
    why: str


_LONG, _LARGE = 1024, 2**27

RULES = (
    Rule(
        GatedCell,
        "chunked",
        lambda call: call.steps >= _LONG and call.state_bytes >= _LARGE,
        f"from {_LONG:,} steps on, where their states take {_LARGE // 2**20} MiB or more",
        "it needs less than a fifth of the memory of 'fused' there, and on a CPU from 1.2 to 1.4 times its time (a GPU "
        "or TPU was not measured)",
    ),
    Rule(
        GatedCell,
        "fused",
        lambda call: True,
        "else",
        "its gradient does the products of all steps at once, which was faster than differentiating the scan in "
        "every case measured on a CPU (a GPU or TPU was not measured)",
    ),
    Rule(
        LinearCell,
        "associative",
        lambda call: call.backend != "cpu",
        "on a GPU or TPU",
        "its depth grows with the logarithm of the steps, which is what counts there (not measured)",
    ),
    Rule(
        LinearCell,
        "scan",
        lambda call: True,
        "else",
        "on a CPU 'associative' takes 1.3 to 2 times as long, but for the smallest complex states",
    ),
    Rule(Cell, "scan", lambda call: True, "else", "nothing is known of this kind of cell but how it steps"),
)
"""The first that fits is taken."""


def explain(cell: Cell | Composite, shape: tuple[int, ...] | None = None, backend: str | None = None) -> str:
    """Says which engine "auto" takes for a cell, and why.

    Args:
      cell: a cell, or a composite: then there is a line for each of its parts.
      shape: of the inputs, [batch, time, features]; None: all that it may take, and when.
      backend: "cpu", "gpu" or "tpu"; None: that of this machine.

    Example:
      >>> import seqmodels as sm
      >>> print(explain(sm.LSTM(hidden_size=256), (8, 16384, 256), "cpu"))
      LSTM: auto takes 'chunked', because it needs less than a fifth of the memory of 'fused' there, and on a CPU from
      1.2 to 1.4 times its time (a GPU or TPU was not measured). It can also be run by 'scan', 'fused', 'newton'.
    """
    if isinstance(cell, Composite):
        return "\n".join(explain(part, shape, backend) for part in dict.fromkeys(cell.parts))
    rules = [rule for rule in RULES if isinstance(cell, rule.kind)]
    if shape is not None:
        *batch_shape, steps, _ = shape
        # A layer's state does not depend on its inputs' size, which above the first is not that of `shape`.
        params = jax.eval_shape(lambda key: cell.init(key, cell.output_size), jax.random.key(0))
        state = jax.eval_shape(lambda params: cell.initial_state(params, tuple(batch_shape)), params)
        rules = [_rule(cell, Call.of(state, steps, backend))]
    else:
        rules = rules[: 1 + next(n for n, rule in enumerate(rules) if rule.when == "else")]
    takes = "; ".join(
        f"{rule.engine!r}{'' if len(rules) == 1 else f' {rule.when}'}, because {rule.why}" for rule in rules
    )
    others = [repr(name) for name in names_for(cell) if name not in {rule.engine for rule in rules}]
    return f"{type(cell).__name__}: auto takes {takes}. It can also be run by {', '.join(others)}."


def _rule(cell: Cell, call: Call) -> Rule:
    return next(rule for rule in RULES if isinstance(cell, rule.kind) and rule.fits(call))


def choose(cell: Cell, method: str | Engine, call: Call) -> Engine:
    """The engine that `method` names or is; for "auto" the one that suits the call. See `check` for what is refused."""
    check(cell, method)
    if isinstance(method, Engine):
        return method
    return ENGINES[_rule(cell, call).engine if method == "auto" else method]


def check(cell: Cell | Composite, method: str | Engine) -> None:
    """Raises ValueError if there is no such engine or it cannot run this kind of cell; names those that can."""
    usable = names_for(cell)
    if method == "auto":
        return
    engine = method if isinstance(method, Engine) else ENGINES.get(method)
    if engine is None:
        raise ValueError(f"there is no engine {method!r}; for this cell: 'auto', {', '.join(map(repr, usable))}")
    if not _can_run(engine, cell):
        kind = type(cell).__name__
        raise ValueError(
            f"the engine {engine.name!r} cannot run a {kind}; those that can: {', '.join(map(repr, usable))}"
        )
