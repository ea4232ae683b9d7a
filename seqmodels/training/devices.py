"""Where batches and state lie."""

from typing import Any, NamedTuple

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from seqmodels.cells.base import PyTree
from seqmodels.errors import UserError
from seqmodels.training.step import TrainState
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


class Placement(NamedTuple):
    """How one run's arrays are shared by the devices of a mesh: rows of batches and carry, copies of all else.

    Attributes:
      mesh: as made by `make_mesh`.
      batch_axis: where rows are counted in the arrays of a batch; those with no such axis are copied.
    """

    mesh: jax.sharding.Mesh
    batch_axis: int

    def check(self, batch_size: int) -> None:
        """Raises UserError if a batch cannot be shared evenly."""
        devices = self.mesh.shape["data"]
        if batch_size % devices:
            raise UserError(f"data.batch_size: {batch_size} rows cannot be shared evenly by {devices} devices")

    def put_batch(self, batch: PyTree) -> PyTree:
        """Puts a batch on the devices."""
        return jax.tree.map(lambda x: jax.device_put(x, self._sharding(x, self.batch_axis)), batch)

    def put_state(self, state: TrainState) -> TrainState:
        """Puts a state on the devices."""
        placed: TrainState = jax.device_put(state, self.state_shardings(state))
        return placed

    def state_shardings(self, state: TrainState) -> PyTree:
        """The sharding of every leaf of a state, given its arrays or their shapes."""
        shardings = jax.tree.map(lambda x: self._sharding(x, None), state)
        return shardings.replace(carry=jax.tree.map(lambda x: self._sharding(x, 0), state.carry))

    def _sharding(self, x: Any, axis: int | None) -> NamedSharding:
        """Rows shared along `axis`, if there is such an axis."""
        axes = (*[None] * axis, "data") if axis is not None and x.ndim > axis else ()
        return NamedSharding(self.mesh, PartitionSpec(*axes))  # type: ignore[no-untyped-call]  # JAX leaves it untyped
