"""Where batches and state lie."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from seqmodels.cells.base import PyTree
from seqmodels.cells.spread import DATA, MODEL
from seqmodels.errors import UserError
from seqmodels.training.step import TrainState
from seqmodels.training.tables import Mesh


def make_mesh(mesh: Mesh, devices: Sequence[jax.Device] | None = None) -> jax.sharding.Mesh:
    """The mesh of devices that a config asks for; neighbours share a model.

    Args:
      mesh: of the config.
      devices: those that may be taken; None: all that there are.

    Raises:
      UserError: if there are not as many devices, or if they cannot work together so.
    """
    there = jax.devices() if devices is None else devices
    available = len(there)
    if mesh.model > available:
        raise UserError(f"devices.mesh.model: {mesh.model} devices asked for, {available} available")
    data = available // mesh.model if mesh.data == -1 else mesh.data
    wanted = data * mesh.model
    if wanted > available:
        product = f"{data} x {mesh.model} = {wanted}" if mesh.model > 1 else f"{wanted}"
        raise UserError(f"devices.mesh.data: {product} devices asked for, {available} available; use -1 for all")
    if wanted < available and jax.process_count() > 1:
        raise UserError(
            f"devices.mesh: {wanted} of {available} devices asked for; several processes must use all of theirs"
        )
    if mesh.model > 1 and jax.process_count() > 1 and jax.default_backend() == "cpu":
        # XLA runs exchanges that do not depend on each other in any order, and the processes' might meet crosswise.
        raise UserError("devices.mesh.model: several processes on CPUs can share the batch alone; use 1")
    try:
        return jax.make_mesh((data, mesh.model), (DATA, MODEL), (AxisType.Auto,) * 2, devices=there[:wanted])
    except (AssertionError, NotImplementedError) as error:  # of TPUs, whose place in the slice matters
        raise UserError(
            f"devices.mesh: {data} x {mesh.model} devices are no part of these {available} that hangs together; use all"
        ) from error


class Placement(NamedTuple):
    """How one run's arrays are shared by the devices of a mesh.

    Rows of batches and of the carry are shared along "data"; matrices of the parameters, and what the optimizer and
    averages keep of the same shapes, along "model"; of all else each device has a copy. How they are shared at work
    the cells and layers say (`seqmodels.cells.spread`); XLA moves what has to be moved.

    Attributes:
      mesh: as made by `make_mesh`.
      batch_axis: where rows are counted in the arrays of a training batch; those with no such axis are copied.
    """

    mesh: jax.sharding.Mesh
    batch_axis: int

    def check(self, batch_size: int) -> None:
        """Raises UserError if a batch cannot be shared evenly."""
        devices = self.mesh.shape[DATA]
        if batch_size % devices:
            raise UserError(f"data.batch_size: {batch_size} rows cannot be shared evenly by {devices} devices")

    def put_batch(self, batch: PyTree) -> PyTree:
        """Puts a training batch on the devices; every process has the whole of it and gives its own rows."""
        return self._put_rows(batch, self.batch_axis)

    def put_rows(self, tree: PyTree) -> PyTree:
        """Puts a batch or a carry of an evaluation on the devices, by rows where they can be shared evenly."""
        return self._put_rows(tree, 0)

    def like_batch(self, batch: PyTree) -> PyTree:
        """The shapes of a training batch with the place of every array."""
        return jax.tree.map(lambda x: _shape(x, self._sharding(*self._rows(x, self.batch_axis))), batch)

    def put_state(self, state: TrainState) -> TrainState:
        """Puts a state on the devices."""
        placed: TrainState = jax.tree.map(_put, state, self.state_shardings(state))
        return placed

    def like(self, shapes: TrainState) -> TrainState:
        """The shapes of a state with the place of every array."""
        placed: TrainState = jax.tree.map(_shape, shapes, self.state_shardings(shapes))
        return placed

    def state_shardings(self, state: TrainState) -> PyTree:
        """The sharding of every leaf of a state, given its arrays or their shapes."""
        shardings = self.parameter_shardings(state)
        carry = jax.tree.map(lambda x: self._sharding(*self._rows(x, 0)), state.carry)
        sums = jax.tree.map(lambda x: self._sharding(), state.sums)
        return shardings.replace(carry=carry, sums=sums)

    def parameter_shardings(self, params: PyTree) -> PyTree:
        """The sharding of every array of parameters, or of their shapes."""
        return jax.tree.map(self._of_parameter, params)

    def _of_parameter(self, x: Any) -> NamedSharding:
        """Matrices are cut along the first axis that can be cut evenly: the rows, so that gates stay together."""
        devices = self.mesh.shape[MODEL]
        even = [axis for axis, size in enumerate(x.shape) if size % devices == 0]
        if devices == 1 or x.ndim < 2 or not even:
            return self._sharding()
        return self._sharding(*[None] * even[0], MODEL)

    def _put_rows(self, tree: PyTree, axis: int) -> PyTree:
        return jax.tree.map(lambda x: _put(x, self._sharding(*self._rows(x, axis))), tree)

    def _rows(self, x: Any, axis: int) -> tuple[str | None, ...]:
        shared = x.ndim > axis and x.shape[axis] % self.mesh.shape[DATA] == 0
        return (*[None] * axis, DATA) if shared else ()

    def _sharding(self, *axes: str | None) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*axes))  # type: ignore[no-untyped-call]  # JAX leaves it untyped


def _put(x: Any, sharding: NamedSharding) -> jax.Array:
    """An array that every process has whole, put where it belongs; one that lies there stays."""
    if isinstance(x, jax.Array) and x.sharding == sharding:
        return x
    if jax.process_count() == 1:
        placed: jax.Array = jax.device_put(x, sharding)
        return placed
    whole = np.asarray(x)
    array: jax.Array = jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])
    return array


def _shape(x: Any, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    """The shape of an array with its place."""
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
