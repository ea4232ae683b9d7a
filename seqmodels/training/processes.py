"""Several processes that run one program together, each with devices of its own: on one machine or many."""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from seqmodels.cells.base import PyTree
from seqmodels.errors import UserError, first_line, out_of_memory
from seqmodels.training.interrupts import exit_code

LOST: Final = 3
"""The exit code of a process whose run ended because another process of it did."""

_HEARTBEAT_S: Final = 30
_LONGEST_MESSAGE: Final = 2000


@dataclass(frozen=True)
class Joining:
    """How a process finds the others.

    Attributes:
      detected: everything is in the environment: of Slurm, a TPU pod, Kubernetes or MPI; JAX knows these.
      coordinator: "host:port" of process 0, where they meet; None: as detected.
      processes: how many they are.
      index: which one this is, from 0.
    """

    detected: bool = False
    coordinator: str | None = None
    processes: int | None = None
    index: int | None = None

    def check(self) -> None:
        """Raises UserError unless all is told, or nothing."""
        told = [part is not None for part in (self.coordinator, self.processes, self.index)]
        if any(told) and (self.detected or not all(told)):
            raise UserError("--coordinator, --processes and --index belong together; or give --distributed alone")
        if self.processes is not None and self.index is not None and not 0 <= self.index < self.processes:
            raise UserError(f"--index: must be from 0 to {self.processes - 1} (got {self.index})")


@contextlib.contextmanager
def joined(joining: Joining) -> Iterator[None]:
    """A run of one process, or of several that have found each other; before JAX has been asked for its devices.

    A process that leaves by an error takes the others with it: their next exchange fails, and they end with the code
    `LOST`; or else, after half a minute without a sign of life from it, JAX aborts them. It does not wait for them, as
    Python would at its exit.

    Raises:
      UserError: if the processes do not find each other.
    """
    joining.check()
    if not joining.detected and joining.coordinator is None:
        yield
        return
    # The loop has its own way to stop at a signal, which does not ask for this service.
    jax.config.update("jax_enable_preemption_service", False)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    try:
        jax.distributed.initialize(
            joining.coordinator,
            joining.processes,
            joining.index,
            local_device_ids=_own_devices(),
            heartbeat_timeout_seconds=_HEARTBEAT_S,
        )
    except (RuntimeError, ValueError) as error:
        where = joining.coordinator or "the cluster that was detected"
        raise UserError(f"the processes of the run did not find each other at {where}: {first_line(error)}") from error
    try:
        yield
    except UserError as error:
        _leave(2, *error.lines)
    except KeyboardInterrupt:
        _leave(exit_code(signal.SIGINT))
    except Exception as error:
        _leave(*_last_words(error))
    jax.distributed.shutdown()  # type: ignore[no-untyped-call]  # JAX leaves it untyped


def _own_devices() -> list[int] | None:
    """An empty list, for all devices that it sees, in a process that is alone on its machine; None: what JAX takes.

    Of the GPUs of a machine JAX takes one for each process that Slurm or MPI has started, even if there is no other.
    """
    given = os.environ
    if "JAX_LOCAL_DEVICE_IDS" in given:
        return None
    on_this_machine = given.get("OMPI_COMM_WORLD_LOCAL_SIZE")  # asked first: mpirun may have been started by Slurm
    if on_this_machine is not None:
        return [] if on_this_machine == "1" else None
    tasks = given.get("SLURM_NTASKS")
    return [] if tasks is not None and tasks == given.get("SLURM_STEP_NUM_NODES") else None


def leads() -> bool:
    """Whether this process is the one that writes and speaks: process 0."""
    return jax.process_index() == 0


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A part of the program that all processes finish, or none: what one cannot mend is told to all.

    Raises:
      UserError: what was raised inside; in the other processes, the same words.
    """
    fault: UserError | None = None
    try:
        yield
    except UserError as error:
        fault = error
    words = gather("\n".join(fault.lines) if fault else "")
    if fault:
        raise fault
    told = [f"process {index}: {line}" for index, text in enumerate(words) for line in text.splitlines()]
    if told:
        raise UserError(*told)


def gather(text: str) -> list[str]:
    """What every process has to say, in their order; all of them must call this. Long texts are cut."""
    if jax.process_count() == 1:
        return [text]
    sent = np.zeros(_LONGEST_MESSAGE, np.uint8)
    data = text.encode()[:_LONGEST_MESSAGE]
    sent[: len(data)] = np.frombuffer(data, np.uint8)
    return [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in _all(sent)]


def wait() -> None:
    """Waits until all processes have come here."""
    gather("")


def on_host(tree: PyTree) -> PyTree:
    """All arrays whole, as numpy arrays, in every process; all of them must call this."""
    return jax.tree.map(_whole, tree)


class SharedSignal:
    """A number that any process may raise above 0, and that all of them hear of before the same step.

    Asking costs no wait: the devices compare numbers in the background, and the answer is that of the question
    before. A single process hears itself at once.

    Args:
      mesh: all devices of all processes.

    Example:
      >>> mesh = jax.make_mesh((1,), ("data",), (jax.sharding.AxisType.Auto,))
      >>> SharedSignal(mesh).ask(15, jax.numpy.int32(7))[0]
      15
    """

    def __init__(self, mesh: jax.sharding.Mesh) -> None:
        apart, copied = PartitionSpec(mesh.axis_names), PartitionSpec()  # type: ignore[no-untyped-call]  # JAX leaves it untyped
        self._apart = NamedSharding(mesh, apart)
        self._largest = jax.jit(lambda x, link: (x.max(), link), out_shardings=NamedSharding(mesh, copied))
        self._asked: jax.Array | None = None

    def ask(self, raised: int, link: jax.Array) -> tuple[int, jax.Array]:
        """Says this process's number and hears of the others'.

        Args:
          raised: the number.
          link: an array that the program before returned and the next one will take. It is given back as it is, and
            keeps the programs in one order: of two that exchanged numbers at once, one would get those of the other.

        Returns:
          The largest number that any process said at the last call, 0 at the first; and `link`.
        """
        if jax.process_count() == 1:
            return raised, link
        mine = np.full(1, raised, np.int32)
        numbers = jax.make_array_from_callback((jax.device_count(),), self._apart, lambda index: mine)
        before = self._asked
        self._asked, link = self._largest(numbers, link)
        return 0 if before is None else int(before), link


def _whole(x: jax.Array) -> np.ndarray:
    if not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated:
        return np.asarray(x)
    return _all(x, tiled=True)


def _all(x: np.ndarray | jax.Array, *, tiled: bool = False) -> np.ndarray:
    from jax.experimental import multihost_utils  # noqa: PLC0415 (starts the backend, which must not come before joining)

    gathered: np.ndarray = multihost_utils.process_allgather(x, tiled=tiled)
    return gathered


def _last_words(error: Exception) -> tuple[int, *tuple[str, ...]]:
    """The exit code of a process of several that ends by an error, and what it says."""
    told = out_of_memory(error)
    if told is not None:
        return 2, *told.lines
    if isinstance(error, jax.errors.JaxRuntimeError):
        return (
            LOST,
            f"process {jax.process_index()} of {jax.process_count()} stops; most likely another one has ended or is "
            f"out of reach ({first_line(error)})",
            "what was saved is unharmed; start all of them again with --resume",
        )
    return 1, traceback.format_exc().rstrip()


def _leave(code: int, *lines: str) -> None:
    """Ends this process without waiting for the others, who would wait for it."""
    for line in lines:
        print(line, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
