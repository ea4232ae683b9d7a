"""A training step compiled for many devices that are not there: what each would hold, and what they would exchange."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import jax

from seqmodels.benchmarks.exchanges import Exchange, exchanges
from seqmodels.benchmarks.report import table
from seqmodels.cells.base import PyTree
from seqmodels.training.devices import Placement, make_mesh
from seqmodels.training.groups import stacked
from seqmodels.training.step import make_step
from seqmodels.training.task import Task

MIB: Final = 2**20


class Plan(NamedTuple):
    """What a compiled step says of itself.

    Attributes:
      parameters: numbers in the model.
      mesh: devices along each axis.
      batches: how many make a step, one after the other.
      state: bytes of parameters, optimizer and the rest of the state on one device.
      temporary: bytes of everything else at the worst moment on one device, as compiled for it.
      kind: of device.
      exchanges: what the devices send each other in one step; None for TPUs, whose compiler cuts exchanges up and mixes
        them with products.
    """

    parameters: int
    mesh: dict[str, int]
    batches: int
    state: int
    temporary: int
    kind: str
    exchanges: list[Exchange] | None


def make_plan(task: Task, config: Any, devices: Sequence[jax.Device] | None = None) -> Plan:
    """Compiles the step of a task; nothing is computed and no array is made.

    Args:
      task: what is trained.
      config: a config of its kind.
      devices: that the step is compiled for, such as those of `absent_devices`; None: those that there are.
    """
    number = config.training.accumulate
    placement = Placement(make_mesh(config.devices.mesh, devices), batch_axis=min(number - 1, 1))
    placement.check(config.data.batch_size)
    optimizer = config.optimizer.build(config.run.steps)
    averaging = config.training.averaging
    step = make_step(task, optimizer, seed=config.run.seed, accumulate=number, averaging=averaging)
    state = jax.eval_shape(step.init, jax.random.key(0))
    batch = placement.like_batch(next(stacked(task.batches(0), number)))
    update = jax.jit(step.update, donate_argnums=0, out_shardings=placement.state_shardings(state))
    with jax.set_mesh(placement.mesh):
        compiled = update.lower(placement.like(state), batch).compile()
    memory: Any = compiled.memory_analysis()
    return Plan(
        parameters=_numbers(state.params),
        mesh=dict(placement.mesh.shape),
        batches=number,
        state=memory.output_size_in_bytes,
        temporary=memory.temp_size_in_bytes,
        kind=placement.mesh.devices.flat[0].device_kind if devices else "CPU",
        exchanges=None if devices else exchanges(str(compiled.as_text()), placement.mesh.size),
    )


def _numbers(tree: PyTree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def describe(plan: Plan) -> list[str]:
    """The plan in words and a table, the largest exchanges first."""
    devices = " x ".join(f"{size} {axis}" for axis, size in plan.mesh.items())
    lines = [
        f"{plan.parameters:,} parameters on {devices} devices; on each of them",
        f"  state      {plan.state / MIB:,.0f} MiB (parameters, optimizer, carry)",
        f"  temporary  {plan.temporary / MIB:,.0f} MiB (activations, gradients; as compiled for a {plan.kind})",
    ]
    if plan.exchanges is None:
        return lines
    header = ["", "Devices", "Where", "Times", "MiB each", "MiB in all"]
    return [*lines, "exchanges of one step:", *table(header, _rows(plan.exchanges, outer=int(plan.batches > 1)))]


def _rows(exchanged: list[Exchange], *, outer: int) -> Iterator[Sequence[str]]:
    """Equal exchanges together; small ones in the last row. `outer` loops are not over time."""
    counted = sorted(Counter(exchanged).items(), key=lambda item: -item[0].size * item[0].times * item[1])
    small_times = small_size = 0
    for one, number in counted:
        times, size = number * one.times, number * one.times * one.size
        if size < MIB:
            small_times, small_size = small_times + times, small_size + size
            continue
        where = "at each step in time" if one.loops > outer else "for each batch" if one.loops else "once"
        yield one.kind, f"{one.devices}", where, f"{times:,}", f"{one.size / MIB:,.1f}", f"{size / MIB:,.0f}"
    if small_times:
        yield "less than 1 MiB", "", "", f"{small_times:,}", "", f"{small_size / MIB:,.1f}"
