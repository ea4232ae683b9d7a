"""Which engines there are, and which one `auto` takes."""

from seqmodels.cells.base import Cell
from seqmodels.engines.engine import Engine
from seqmodels.engines.scan import SCAN

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (SCAN,)}


def names_for(cell: Cell) -> tuple[str, ...]:
    """The names of the engines that can run `cell`.

    Example:
      >>> import seqmodels as sm
      >>> names_for(sm.LSTM(hidden_size=4))
      ('scan',)
    """
    return tuple(name for name, engine in ENGINES.items() if isinstance(cell, engine.kinds))


def choose(cell: Cell, method: str) -> Engine:
    """The engine called `method`, or for "auto" the one that suits `cell`.

    Raises:
      ValueError: if there is no such engine, or it cannot run this kind of cell; names those that can.
    """
    usable = names_for(cell)
    if method == "auto":
        return ENGINES["scan"]
    if method not in ENGINES:
        raise ValueError(f"there is no engine {method!r}; for this cell: 'auto', {', '.join(map(repr, usable))}")
    if method not in usable:
        kind = type(cell).__name__
        raise ValueError(f"the engine {method!r} cannot run a {kind}; those that can: {', '.join(map(repr, usable))}")
    return ENGINES[method]
