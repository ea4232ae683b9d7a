"""The engines of ours that are measured, as the command names them."""

import dataclasses
import re
from typing import Any

from seqmodels.engines import ENGINES, Engine
from seqmodels.errors import UserError


def engine_of(text: str) -> Engine:
    """The engine of a name, or of a name with its option `unroll`, the steps in one turn of its loop.

    Raises:
      UserError: if there is no such engine, or it has no such option.

    Example:
      >>> engine_of("fused:unroll=4").unroll
      4
    """
    name, colon, option = text.partition(":")
    engine: Any = ENGINES.get(name)  # some have the option, the class of all has not
    if engine is None:
        raise UserError(f"there is no {name!r} to measure; there are {', '.join(map(repr, ENGINES))}")
    if colon:
        unroll = re.fullmatch(r"unroll=([1-9]\d*)", option)
        if unroll is None or not hasattr(engine, "unroll"):
            having = ", ".join(f"{name}:unroll=4" for name, engine in ENGINES.items() if hasattr(engine, "unroll"))
            raise UserError(f"--engine {text}: there is no such option; those that there are look like {having}")
        engine = dataclasses.replace(engine, unroll=int(unroll[1]))
    made: Engine = engine
    return made
