"""Steps whose numbers are not all finite: how they are found on the device, and what is done about them."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

import jax
import jax.numpy as jnp
from pydantic import Field

from seqmodels.cells.base import Array, PyTree
from seqmodels.config import config
from seqmodels.errors import UserError

REMEDY: Final = (
    "the last checkpoint is unharmed. Lower optimizer.learning_rate or optimizer.clip_norm, look at the data"
)


@config
class BadSteps:
    """What is done about a step in which the loss, the gradient or the new state is not finite; nothing of it is kept.

    `stop` ends the run. `skip` leaves the step out. `rollback` goes back to the last checkpoint that is due by
    `run.checkpoint_every`, leaves out the step when it comes to it again, and multiplies the rate by `factor`.
    """

    name: Annotated[
        Literal["stop", "skip", "rollback"],
        Field(description="end the run, leave the step out, or go back to a checkpoint and round the step"),
    ] = "stop"
    limit: Annotated[
        int, Field(ge=1, description="of skip: bad steps in a row; of rollback: in the run; one more ends the run")
    ] = 10
    factor: Annotated[float, Field(gt=0, le=1, description="of rollback: what the rate is multiplied by")] = 0.5

    @property
    def remedy(self) -> str:
        """Why a bad step ended the run, and what to do."""
        if self.name == "stop":
            return f"{REMEDY}, or let training.bad_steps.name be 'skip' or 'rollback'"
        what = "bad steps in a row" if self.name == "skip" else "rollbacks"
        return f"that was after training.bad_steps.limit={self.limit} {what}; {REMEDY}"


class Skips(NamedTuple):
    """What skipping remembers on the device.

    Attributes:
      in_a_row: int32, the bad steps right before the next one.
      left_out: int32, the bad steps since the last row of metrics.
    """

    in_a_row: Array
    left_out: Array

    @classmethod
    def start(cls, in_a_row: int = 0, left_out: int = 0) -> Self:
        """So many of each."""
        return cls(jnp.full((), in_a_row, jnp.int32), jnp.full((), left_out, jnp.int32))

    def to_json(self) -> dict[str, int]:
        """Both as numbers, which `start` takes."""
        return {"in_a_row": int(self.in_a_row), "left_out": int(self.left_out)}


class Rollbacks(NamedTuple):
    """What going back remembers; part of every checkpoint.

    Attributes:
      left_out: the steps that are left out when the run comes to them again, in the order in which they were bad.
      scale: what the learning rate is multiplied by.
    """

    left_out: tuple[int, ...] = ()
    scale: float = 1.0

    def after(self, step: int, factor: float) -> Self:
        """One more step was bad.

        Example:
          >>> Rollbacks().after(30, 0.5).after(20, 0.5)
          Rollbacks(left_out=(30, 20), scale=0.25)
        """
        return type(self)((*self.left_out, step), self.scale * factor)

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {"left_out": list(self.left_out), "scale": self.scale}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` wrote; from nothing, that there were none."""
        return cls(tuple(saved["left_out"]), saved["scale"]) if saved else cls()


NO_ROLLBACKS: Final = Rollbacks()


class DivergedRun(UserError):  # noqa: N818 (an error of the run, not of the program)
    """What a run computes is no longer a number, and the run ends; its last checkpoint is unharmed."""


class NotFinite(Exception):  # noqa: N818 (what to do about it is yet to be seen)
    """A step is not finite; `state` is the one before it."""

    def __init__(self, state: PyTree) -> None:
        super().__init__()
        self.state = state


def is_finite(tree: PyTree) -> Array:
    """Whether every number in every array is finite.

    Example:
      >>> bool(is_finite({"a": jnp.ones(2), "b": jnp.int32(3)})), bool(is_finite([jnp.ones(2), jnp.float32(jnp.inf)]))
      (True, False)
    """
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def not_finite(tree: PyTree) -> list[str]:
    """The names of the arrays that are not all finite.

    Example:
      >>> not_finite({"loss": jnp.float32(jnp.nan), "batch": [jnp.ones(2), jnp.array([1.0, jnp.inf])]})
      ['batch.1', 'loss']
    """
    return [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if not is_finite([leaf, jnp.zeros(())])
    ]
