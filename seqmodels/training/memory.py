"""Whether a run fits into the memory of its devices, told before the memory is asked for."""

import contextlib
import math
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax

from seqmodels.cells.base import PyTree
from seqmodels.errors import UserError
from seqmodels.training.step import TrainState

_UNITS: Final = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_CGROUP: Final = Path("/sys/fs/cgroup")
TOO_LARGE: Final = (
    "lower data.batch_size (and raise training.accumulate by as much), data.window where there is one, or "
    "model.cell.hidden_size; long sequences need less with model.method='chunked'"
)


class TooLargeError(UserError):
    """A run does not fit into the memory of its devices."""


class Need(NamedTuple):
    """Bytes that a training step takes on each device.

    Attributes:
      parameters: of the model, and their average.
      optimizer: its state, and what is carried from step to step.
      work: activations, gradients and all else that lasts as long as the step; 0 as long as it is not known.
    """

    parameters: int
    optimizer: int
    work: int = 0

    @classmethod
    def of(cls, state: TrainState) -> "Need":
        """What a state takes, given its arrays or their shapes."""
        parameters = size_of((state.params, state.average))
        return cls(parameters, size_of(state) - parameters)

    def describe(self) -> str:
        """All of it in words.

        Example:
          >>> Need(parameters=3 * 2**20, optimizer=6 * 2**20, work=5 * 2**29).describe()
          'parameters 3 MiB, optimizer 6 MiB, activations and gradients 2.5 GiB'
        """
        parts = {"parameters": self.parameters, "optimizer": self.optimizer, "activations and gradients": self.work}
        return ", ".join(f"{name} {spell(size)}" for name, size in parts.items() if size)


def check_state(state: TrainState, device: jax.Device) -> None:
    """Refuses a state, given by its shapes, that does not fit.

    Raises:
      TooLargeError: if the device has less memory.
    """
    need = Need.of(state)
    _check(need, need.parameters + need.optimizer, device)


def check_step(update: Any, state: TrainState, batch: PyTree) -> Need:
    """Refuses a step that does not fit beside the state, which is there already.

    What it needs is what XLA has planned; so it is compiled here. Called with the same arguments, it is not compiled
    again. Batches of another shape, which may come later, are not looked at.

    Args:
      update: jitted.
      state: its first argument.
      batch: its second one.

    Raises:
      TooLargeError: if the device has less memory.
    """
    plan = update.lower(state, batch).compile().memory_analysis()
    need = Need.of(state)
    if plan is None:  # a backend that does not say
        return need
    work = plan.temp_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    need = need._replace(work=work)
    _check(need, work, next(iter(state.step.sharding.addressable_devices)))
    return need


def available(device: jax.Device) -> int | None:
    """Bytes that are free on a device; None: it does not say."""
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats["bytes_in_use"])
    return _host() if device.platform == "cpu" else None


def size_of(tree: PyTree) -> int:
    """Bytes of all arrays, or of what has their shapes; of those that devices share, on one of them.

    Example:
      >>> size_of({"w": jax.ShapeDtypeStruct((3, 5), "float32"), "step": jax.ShapeDtypeStruct((), "int32")})
      64
    """
    return sum(_elements(leaf) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _elements(leaf: Any) -> int:
    """How many of an array one device has."""
    sharding = getattr(leaf, "sharding", None)
    return math.prod(leaf.shape if sharding is None else sharding.shard_shape(leaf.shape))


def spell(size: int) -> str:
    """A number of bytes for reading.

    Example:
      >>> spell(1536), spell(5 * 2**30), spell(7)
      ('1.5 KiB', '5 GiB', '7 bytes')
    """
    for factor, unit in _UNITS:
        if size >= factor:
            return f"{size / factor:,.4g} {unit}"
    return f"{size} bytes"


def _check(need: Need, wanted: int, device: jax.Device) -> None:
    """Raises TooLargeError unless so many more bytes are there; of devices that share the host's each has a part."""
    sharing = jax.local_device_count() if device.platform == "cpu" else 1
    free = available(device)
    if free is not None and wanted * sharing > free:
        raise TooLargeError(
            f"the model does not fit: {spell(wanted * sharing)} are needed ({need.describe()}), {spell(max(free, 0))} "
            f"are free on {device.device_kind}; {TOO_LARGE}"
        )


def _host() -> int | None:
    """What the host has free, swap included, within the limit of a container; None: the system does not say.

    Both count as free what holds copies of files only: the system gives it to whoever asks for memory.
    """
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        free = 1024 * (kib["MemAvailable"] + kib["SwapFree"])
        with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
            limit, used = (int((_CGROUP / f"memory.{name}").read_text(encoding="ascii")) for name in ("max", "current"))
            free = min(free, limit - used + _cached())
        return free
    return None


def _cached() -> int:
    """Bytes of files that count as used by the container; 0 if it does not say."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        size = dict(line.split() for line in lines)
        return int(size["active_file"]) + int(size["inactive_file"])
    return 0
