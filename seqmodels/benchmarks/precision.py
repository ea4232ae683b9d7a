"""How products of float32 numbers are made on a GPU: whole, or in TensorFloat-32 (a mantissa of 10 bits)."""

import contextlib
import importlib
from collections.abc import Iterator

import jax

from seqmodels.errors import UserError

TYPES = ("float32", "tf32", "bfloat16", "float16")
"""What a case can be measured in."""


def compute_type(kind: str) -> str:
    """The dtype of arrays.

    Example:
      >>> compute_type("tf32"), compute_type("bfloat16")
      ('float32', 'bfloat16')
    """
    return "float32" if kind == "tf32" else kind


def check(kind: str) -> None:
    """Refuses what this machine's processor does not have.

    Raises:
      UserError: for "tf32" and "float16" without a GPU.
    """
    if kind in ("tf32", "float16") and jax.default_backend() != "gpu":
        raise UserError(f"--dtype {kind} is for GPUs, and JAX sees none here; leave it out")


@contextlib.contextmanager
def products(kind: str) -> Iterator[None]:
    """Makes products of float32 as `kind` says, in JAX and in torch, which have other defaults on a GPU.

    A CPU knows one way only, and nothing is changed there.
    """
    if jax.default_backend() != "gpu":
        yield
        return
    with contextlib.suppress(ImportError):
        torch = importlib.import_module("torch")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = kind == "tf32"
    with jax.default_matmul_precision("tensorfloat32" if kind == "tf32" else "highest"):
        yield
