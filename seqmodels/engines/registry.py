"""Which engines there are, and which one `auto` takes."""

from seqmodels.cells.base import Cell, Composite, GatedCell
from seqmodels.engines.chunked import Chunked
from seqmodels.engines.engine import Engine
from seqmodels.engines.fused import Fused
from seqmodels.engines.scan import Scan

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (Scan(), Fused(), Chunked())}
"""Every engine by its name, with its default options."""


def names_for(cell: Cell | Composite) -> tuple[str, ...]:
    """The names of the engines that can run `cell`; of a composite, those that can run all its parts.

    Example:
      >>> import seqmodels as sm
      >>> names_for(sm.LSTM(hidden_size=4))
      ('scan', 'fused', 'chunked')
    """
    if isinstance(cell, Composite):
        of_parts = [names_for(part) for part in cell.parts]
        return tuple(name for name in ENGINES if all(name in names for names in of_parts))
    return tuple(name for name, engine in ENGINES.items() if isinstance(cell, engine.kinds))


def choose(cell: Cell, method: str | Engine) -> Engine:
    """The engine that `method` names or is; for "auto" the one that suits `cell`. See `check` for what is refused."""
    check(cell, method)
    if isinstance(method, Engine):
        return method
    if method == "auto":
        return ENGINES["fused" if isinstance(cell, GatedCell) else "scan"]
    return ENGINES[method]


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
