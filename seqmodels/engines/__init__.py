"""Ways of running a cell over time. `unroll` is the entry; `ENGINES` maps a method's name to its engine."""

from seqmodels.engines.associative import Associative
from seqmodels.engines.chunked import Chunked
from seqmodels.engines.engine import Engine, Inputs
from seqmodels.engines.fused import Fused
from seqmodels.engines.newton import Newton
from seqmodels.engines.registry import ENGINES, explain, names_for
from seqmodels.engines.scan import Scan
from seqmodels.engines.stream import Stream
from seqmodels.engines.unroll import trajectory, unroll

__all__ = [
    "ENGINES",
    "Associative",
    "Chunked",
    "Engine",
    "Fused",
    "Inputs",
    "Newton",
    "Scan",
    "Stream",
    "explain",
    "names_for",
    "trajectory",
    "unroll",
]
