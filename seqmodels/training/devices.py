"""Where batches and parameters lie."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from seqmodels.errors import UserError
from seqmodels.training.tables import Mesh


def make_mesh(mesh: Mesh) -> jax.sharding.Mesh:
    """The mesh of devices that a config asks for.

    Raises:
      UserError: if there are not as many devices.
    """
    available = jax.device_count()
    wanted = available if mesh.data == -1 else mesh.data
    if wanted > available:
        raise UserError(f"devices.mesh.data: {wanted} devices asked for, {available} available; use -1 for all")
    return jax.make_mesh((wanted, 1), ("data", "model"), (AxisType.Auto, AxisType.Auto), devices=jax.devices()[:wanted])


def place_batches(mesh: jax.sharding.Mesh, batch_size: int, *, axis: int) -> Callable[[Any], Any]:
    """A function that puts a batch on the devices, its rows shared among them.

    Args:
      mesh: as made by `make_mesh`.
      batch_size: rows of a batch; must be a multiple of the devices that share it.
      axis: where the rows are counted in the arrays; arrays with no such axis are copied to all devices.

    Raises:
      UserError: if the rows cannot be shared evenly.
    """
    devices = mesh.shape["data"]
    if batch_size % devices:
        raise UserError(f"data.batch_size: {batch_size} rows cannot be shared evenly by {devices} devices")

    def place(batch: Any) -> Any:
        def leaf(x: Any) -> Any:
            axes = (*[None] * axis, "data") if x.ndim > axis else ()
            spec = PartitionSpec(*axes)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
            return jax.device_put(x, NamedSharding(mesh, spec))

        return jax.tree.map(leaf, batch)

    return place if devices > 1 else lambda batch: batch
