"""Long-term dependencies: problems that only those can solve who remember something for many steps."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union

import jax
import jax.numpy as jnp
import numpy as np
import optax
from pydantic import Field

from seqmodels.cells.base import Array, PyTree
from seqmodels.cells.spread import DATA, spread
from seqmodels.config import config
from seqmodels.data.buckets import width_of
from seqmodels.data.inputs import Input, sequences_of
from seqmodels.data.problems import PROBLEMS, Examples, Problem
from seqmodels.models.sequence_model_table import SequenceModelTable
from seqmodels.training.groups import batched
from seqmodels.training.optimizers import OptimizerConfig
from seqmodels.training.reading import Reading, longest
from seqmodels.training.step import add_sums
from seqmodels.training.tables import Devices, Run, Training
from seqmodels.training.task import Sums

if TYPE_CHECKING:  # the union is made at run time from the problems that there are
    ProblemTable = Problem
else:
    ProblemTable = Annotated[Union[PROBLEMS], Field(discriminator="name")]  # noqa: UP007 (no `|` over a tuple)


@config
class TaskTable:
    """The table `[task]`."""

    name: Literal["long_term"]
    trials: Annotated[
        int, Field(ge=1, description="models trained side by side, each with parameters and examples of its own")
    ] = 1


@config
class Config:
    """A whole config of this task."""

    task: TaskTable
    run: Run = Run()
    data: ProblemTable
    model: SequenceModelTable
    optimizer: OptimizerConfig
    training: Training = Training()
    devices: Devices = Devices()

    def __post_init__(self) -> None:
        """A bad step of one trial must not change what the others do."""
        if self.task.trials > 1 and self.training.bad_steps.name != "stop":
            raise ValueError("with several task.trials training.bad_steps.name must be 'stop': they share their steps")


class Solver:
    """Models for a problem, one a trial: all of the task that needs no data.

    Args:
      config: the run's.
    """

    weight_unit = "sequences"

    def __init__(self, config: Config) -> None:
        self.config = config
        self.problem = config.data
        self.trials = config.task.trials
        self.model = config.model.build(
            self.problem.input_size, self.problem.classes or 1, config.training.compute_dtype
        )
        self._answers = jax.jit(lambda params, inputs: self.model.apply(params, inputs)[1])

    @staticmethod
    def restore(config: Config, extra: Mapping[str, Any]) -> "Solver":
        """From the config alone."""
        del extra
        return Solver(config)

    @property
    def objective(self) -> str:
        """The loss: a squared error, or nats."""
        return loss_name(self.problem)

    @property
    def measures(self) -> dict[str, tuple[int, ...]]:
        """Of each trial: the share of sequences solved, the loss of an output, and the share of right classes."""
        names = ("solved_percent", self.objective, *(("accuracy",) if self.problem.classes else ()))
        return dict.fromkeys(names, (self.trials,))

    def init(self, key: Array) -> PyTree:
        """The parameters of all trials, leaves [trials, ...]."""
        return jax.vmap(self.model.init)(jax.random.split(key, self.trials))

    def initial_carry(self, params: PyTree) -> None:
        """None: no sequence goes on from another one."""

    def loss(self, params: PyTree, carry: None, batch: Any, key: Array | None) -> tuple[Array, tuple[None, Sums]]:
        """The mean over all outputs that are asked for, summed over the trials."""

        def measure(params: PyTree, trial: Array, key: Array | None) -> Sums:
            read = self.problem.of_trial(batch, trial)
            examples = jax.tree.map(lambda x: spread(x, axis=0, over=DATA), self.problem.examples(read))
            _, outputs = self.model.apply(params, examples.inputs, key=key)
            return measure_outputs(self.problem, outputs, examples, jnp.asarray(read.mask))

        keys = None if key is None else jax.random.split(key, self.trials)
        sums = jax.vmap(measure)(params, jnp.arange(self.trials, dtype=jnp.uint32), keys)
        totals, weights = sums[self.objective]
        # In training the trials' sequences may differ in length: of their weights the mean is kept.
        return (totals / weights).sum(), (carry, {name: (total, each.mean()) for name, (total, each) in sums.items()})

    def metrics(self, means: Mapping[str, Any]) -> dict[str, float]:
        """The loss, the share of solved sequences, and for classes accuracy and the share of errors, over all trials.

        Where there are several trials, also the share of those that succeed in the sense of Hochreiter & Schmidhuber
        (1997): every sequence of the split is solved. (They ask for a small mean error beside, which then is small.)
        """
        mean = {name: float(np.mean(values)) for name, values in means.items()}
        found = {self.objective: mean[self.objective], "solved_percent": mean["solved_percent"]}
        if self.trials > 1:
            found["trials_solved_percent"] = 100.0 * float(np.mean(np.asarray(means["solved_percent"]) >= 100.0))
        if self.problem.classes:
            found |= {"accuracy": mean["accuracy"], "error_percent": 100.0 * (1.0 - mean["accuracy"])}
        return found

    @property
    def columns(self) -> tuple[str, ...]:
        """The classes found, or numbers."""
        return ("classes",) if self.problem.classes else ("outputs",)

    def predict(self, params: PyTree, given: Input, *, rows: int) -> Iterator[dict[str, Any]]:
        """What the first trial's model says at every step; see `seqmodels.tasks.predictor.Predictor`.

        Sequences are lines of JSON with the key "inputs": for each step a list of numbers, as the problem has them.
        """
        first = jax.tree.map(lambda leaf: leaf[0], params)
        for group in batched(sequences_of(given, self.problem.input_size), rows):
            inputs = np.zeros((rows, width_of([len(xs) for xs in group]), self.problem.input_size), np.float32)
            for row, xs in zip(inputs, group, strict=False):  # the batch is filled up
                row[: len(xs)] = xs
            outputs = np.asarray(self._answers(first, inputs))
            for xs, ys in zip(group, outputs, strict=False):
                if self.problem.classes:
                    yield {"classes": ys[: len(xs)].argmax(axis=-1).tolist()}
                else:
                    yield {"outputs": ys[: len(xs), 0].tolist()}

    def pictures(self, sums: Mapping[str, Any]) -> Mapping[str, Any]:
        """Empty: the curves say it all."""
        del sums
        return {}


class LongTerm(Solver):
    """The task: a problem whose examples are made up or read, a recurrent model, its loss.

    Args:
      config: a valid one.

    Raises:
      DataError: if the data cannot be had or used.
    """

    name: ClassVar[str] = "long_term"
    schema: ClassVar[type[Any]] = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.data_name = f"the problem {config.data.name}"
        self.stream = config.data.open()

    def batches(self, start: int) -> Iterator[Any]:
        """Training batches from step `start` on."""
        return self.stream.batches(self.config.run.seed, start)

    def origin(self, number: int) -> dict[str, Any]:
        """Which examples the problem says they are."""
        return self.stream.origin(number, self.config.run.seed)

    def evaluation(self, params: PyTree, split: str) -> tuple[None, Iterable[Any]]:
        """Every example of a split once."""
        del params
        return None, self.stream.evaluation(split)

    def sample(self, params: PyTree) -> None:
        """None: it writes no text."""

    def reading(self, params: PyTree, most: int) -> Reading:
        """A sequence of validation, and the mean cost of all that it asks for; of several trials the first one's."""
        first = jax.tree.map(lambda leaf: leaf[0], params)
        batch = next(iter(self.stream.evaluation("valid")))
        examples = jax.jit(self.problem.examples)(batch)
        lengths = [int(np.flatnonzero(counted)[-1]) + 1 for counted in np.asarray(examples.counted)]
        row = longest(lengths, most)
        one = jax.tree.map(lambda leaf: leaf[row : row + 1, : lengths[row]], examples)

        def cost(last: PyTree, ys: Array) -> Array:
            del last
            sums = measure_outputs(self.problem, self.model.outputs(first, ys[None]), one, jnp.ones(1, bool))
            total, weight = sums[self.objective]
            return total / weight

        asked = f"the answer to sequence {row + 1:,} of validation"
        return Reading(self.model.cell, first.cell, one.inputs[0].astype(jnp.float32), cost, asked, "step")

    def baselines(self) -> dict[str, dict[str, float]]:
        """What is reached without looking at the inputs: as theory gives it, and measured on the same examples."""

        @jax.jit
        def measure(batch: Any) -> dict[str, Sums]:
            examples, mask = self.problem.examples(batch), jnp.asarray(batch.mask)
            outputs = self.problem.simple(examples)
            return {name: measure_outputs(self.problem, given, examples, mask) for name, given in outputs.items()}

        found: dict[str, dict[str, float]] = {}
        for split in ("valid", "test"):
            for method, sums in _total(map(measure, self.stream.evaluation(split))).items():
                means = {name: float(total) / float(weight) for name, (total, weight) in sums.items()}
                for metric, value in self.metrics(means).items():
                    found.setdefault(f"{split}/{metric}", {})[method] = value
            if self.problem.chance is not None:
                found[f"{split}/{self.objective}"]["theory"] = self.problem.chance
        return found

    def extra(self) -> dict[str, Any]:
        """The fingerprint of the data."""
        return {"data_sha256": self.stream.fingerprint}

    def describe(self) -> list[str]:
        """What is trained on what, a line each."""
        chance = self.problem.chance
        lines = [f"{self.data_name}: {self.stream.describe()}"]
        if self.trials > 1:
            lines.append(f"{self.trials} trials side by side, each with parameters and examples of its own")
        if chance is not None:
            lines.append(f"without looking at the inputs {self.objective} is {chance:.4g} at best")
        return lines


def _total(batches: Iterable[dict[str, Sums]]) -> dict[str, Sums]:
    """The sums of each method over all batches."""
    return functools.reduce(lambda a, b: {name: add_sums(a[name], b[name]) for name in a}, batches)


def loss_name(problem: Problem) -> str:
    """The name of the loss, with its unit."""
    return "loss_nats" if problem.classes else "mse"


def measure_outputs(problem: Problem, outputs: Array, examples: Examples, mask: Array) -> Sums:
    """What outputs are worth.

        numbers    loss (y - target)²           solved    |y - target| < 0.04 (0.08 in adding)
        classes    loss -log p(target)          solved    1 - p(target) < 0.3

    Args:
      problem: says what the targets are, and the tolerance.
      outputs: [B, T, 1], or scores [B, T, K].
      examples: [B, T, ...].
      mask: [B], the rows that are examples.

    Returns:
      Sums over the outputs that are asked for; of `solved_percent`, over sequences: all of one's outputs are solved.
    """
    counted = examples.counted & mask[:, None]
    weights, rows = counted.astype(jnp.float32), mask.astype(jnp.float32)
    if problem.classes is None:
        distance = jnp.abs(outputs[..., 0] - examples.targets)
        loss, right = distance**2, {}
    else:
        loss = optax.softmax_cross_entropy_with_integer_labels(outputs, examples.targets)
        distance = -jnp.expm1(-loss)
        right = {"accuracy": (jnp.argmax(outputs, axis=-1) == examples.targets).astype(jnp.float32)}
    solved = 100.0 * ((distance < problem.tolerance) | ~counted).all(axis=-1).astype(jnp.float32)
    number = weights.sum()
    return {
        "solved_percent": ((solved * rows).sum(), rows.sum()),
        loss_name(problem): ((loss * weights).sum(), number),
        **{name: ((values * weights).sum(), number) for name, values in right.items()},
    }
