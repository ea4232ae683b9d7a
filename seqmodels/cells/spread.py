"""How the arrays of one program are shared among several devices."""

from typing import Any, Final

import jax
from jax.sharding import PartitionSpec

from seqmodels.cells.base import Array

DATA: Final = "data"
"""The axis of a mesh whose devices share the rows of a batch."""

MODEL: Final = "model"
"""The axis of a mesh whose devices share one model."""


def model_devices() -> int:
    """How many devices share one model: the size of that axis of the mesh in force (`jax.set_mesh`), or 1."""
    return _devices(MODEL)


def is_shared() -> bool:
    """Whether several devices work together, in whatever way: whether the mesh in force has more than one."""
    return bool(jax.sharding.get_abstract_mesh().size > 1)


def platform() -> str:
    """The kind of device that a program is for: of the mesh in force, whose devices need not be here, or JAX's own."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else device.platform


def spread(x: Array, axis: int, over: str = MODEL) -> Array:
    """Asks XLA to share an array along one axis among the devices of a mesh; the other axes are left to it.

    Without a mesh, or where the axis cannot be cut evenly, the array is left as it is.

    Args:
      x: any array.
      axis: which one is cut.
      over: `MODEL` or `DATA`: the devices that share it.

    Example:
      >>> import jax.numpy as jnp
      >>> spread(jnp.ones((4, 6)), axis=1).shape
      (4, 6)
    """
    devices = _devices(over)
    if devices == 1 or x.shape[axis] % devices:
        return x
    axes: list[Any] = [PartitionSpec.UNCONSTRAINED] * x.ndim
    axes[axis] = over
    spec = PartitionSpec(*axes)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    shared: Array = jax.lax.with_sharding_constraint(x, spec)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    return shared


def _devices(over: str) -> int:
    size: int = jax.sharding.get_abstract_mesh().shape.get(over, 1)
    return size
