"""The engines of ours that are measured, as the command names them."""

import dataclasses
import re
from typing import Any

from seqmodels.engines import ENGINES, Engine
from seqmodels.errors import UserError


def engine_of(text: str) -> Engine:
    """The engine of a name, or of a name with an option: `unroll` or `span`, in steps, or `packed`, as on a GPU.

    Raises:
      UserError: if there is no such engine, or it has no such option.

    Example:
      >>> engine_of("fused:unroll=4").unroll, engine_of("fused:span=0").span, engine_of("fused:packed").packed
      (4, 0, True)
    """
    name, colon, option = text.partition(":")
    engine: Any = ENGINES.get(name)  # some have the option, the class of all has not
    if engine is None:
        raise UserError(f"there is no {name!r} to measure; there are {', '.join(map(repr, ENGINES))}")
    if colon:
        key, _, number = option.partition("=")
        if re.fullmatch(r"unroll=[1-9]\d*|span=\d+", option):
            changes: dict[str, Any] = {key: int(number)}
        else:
            changes = {"packed": True, "span": 0} if option == "packed" else {"": None}
        if not all(hasattr(engine, key) for key in changes):
            known = ("unroll=4", "span=16", "packed")
            having = (f"{n}:{o}" for n, e in ENGINES.items() for o in known if hasattr(e, o.partition("=")[0]))
            raise UserError(f"--engine {text}: there is no such option; there are {', '.join(having)}")
        engine = dataclasses.replace(engine, **changes)
    made: Engine = engine
    return made
