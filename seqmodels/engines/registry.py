"""Which engines there are, and which one `auto` takes."""

from typing import Any, NamedTuple

from seqmodels.cells.base import Cell, Composite, GatedCell
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
    if isinstance(cell, Composite):
        of_parts = [names_for(part) for part in cell.parts]
        return tuple(name for name in ENGINES if all(name in names for names in of_parts))
    return tuple(name for name, engine in ENGINES.items() if isinstance(cell, engine.kinds))


class Rule(NamedTuple):
    """What "auto" takes for cells of a kind, and why; the figures are from docs/benchmarks.md."""

    kind: Any  # a class, abstract ones included
    engine: str
    why: str


RULES = (
    Rule(
        GatedCell,
        "fused",
        "its gradient does the products of all steps at once, which was faster than differentiating the scan in "
        "every case measured on a CPU",
    ),
    Rule(Cell, "scan", "nothing is known of this kind of cell but how it steps"),
)
"""The first that fits is taken."""


def explain(cell: Cell | Composite) -> str:
    """Says which engine "auto" takes for a cell, and why.

    Example:
      >>> import seqmodels as sm
      >>> print(explain(sm.LSTM(hidden_size=4)))
      LSTM: auto takes 'fused', because its gradient does the products of all steps at once, which was faster than
      differentiating the scan in every case measured on a CPU. It can also be run by 'scan', 'chunked', 'newton'.
    """
    if isinstance(cell, Composite):
        return "\n".join(explain(part) for part in dict.fromkeys(cell.parts))
    rule = _rule(cell)
    others = ", ".join(repr(name) for name in names_for(cell) if name != rule.engine)
    kind = type(cell).__name__
    return f"{kind}: auto takes {rule.engine!r}, because {rule.why}. It can also be run by {others}."


def _rule(cell: Cell) -> Rule:
    return next(rule for rule in RULES if isinstance(cell, rule.kind))


def choose(cell: Cell, method: str | Engine) -> Engine:
    """The engine that `method` names or is; for "auto" the one that suits `cell`. See `check` for what is refused."""
    check(cell, method)
    if isinstance(method, Engine):
        return method
    return ENGINES[_rule(cell).engine if method == "auto" else method]


def check(cell: Cell | Composite, method: str | Engine) -> None:
    """Raises ValueError if there is no such engine or it cannot run this kind of cell; names those that can."""
    usable = names_for(cell)
    name = method.name if isinstance(method, Engine) else method
    if name == "auto":
        return
    if name not in ENGINES:
        raise ValueError(f"there is no engine {name!r}; for this cell: 'auto', {', '.join(map(repr, usable))}")
    if name not in usable:
        kind = type(cell).__name__
        raise ValueError(f"the engine {name!r} cannot run a {kind}; those that can: {', '.join(map(repr, usable))}")
