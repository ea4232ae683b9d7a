"""The other libraries that are measured, by name."""

from collections.abc import Callable
from typing import Final

from seqmodels.benchmarks import contestants, cudnn
from seqmodels.benchmarks.cases import Data
from seqmodels.benchmarks.contestants import Contestant

PEERS: Final[dict[str, Callable[[Data, str], Contestant]]] = {
    "flax linen": contestants.flax_linen,
    "flax nnx": contestants.flax_nnx,
    "haiku": contestants.haiku,
    "equinox": contestants.equinox,
    "jax cuDNN": cudnn.jax_cudnn,
    "torch": contestants.torch_eager,
    "torch graph": cudnn.torch_graph,
}
"""By name; each is imported when it is asked for, and ImportError means that it is not there."""

JAX_PEERS: Final = ("flax linen", "flax nnx", "haiku", "equinox")
"""Those that XLA compiles as it does ours; what runs in cuDNN or torch is compared apart."""
