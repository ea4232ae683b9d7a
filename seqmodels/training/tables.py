"""The tables of a config that are the same for every task: `[run]`, `[training]` and `[devices]`."""

from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Field

from seqmodels.config import config
from seqmodels.training.bad_steps import BadSteps
from seqmodels.training.watchers import EarlyStopping

Interval = Annotated[int, Field(ge=1)]


@config
class Run:
    """How long a run is, and what it leaves where."""

    name: Annotated[str | None, Field(min_length=1, description="of the run folder; default: the config's")] = None
    dir: Annotated[str, Field(min_length=1, description="where run folders go")] = "runs"
    seed: Annotated[int, Field(ge=0, lt=2**32, description="decides all that is random")] = 0
    steps: Annotated[int, Field(ge=1, description="optimizer steps")] = 1000
    log_every: Annotated[Interval, Field(description="steps between two rows of metrics")] = 50
    validate_every: Annotated[Interval, Field(description="steps between two validations")] = 500
    checkpoint_every: Annotated[Interval, Field(description="steps between two checkpoints")] = 500
    keep_last: Annotated[int, Field(ge=1, description="checkpoints kept beside the best")] = 2
    on_failed_save: Annotated[
        Literal["stop", "go_on"],
        Field(
            description="what follows where a checkpoint cannot be written: the end of the run, or another try when "
            "the next one is due; the last one must succeed"
        ),
    ] = "stop"
    tensorboard: Annotated[bool, Field(description="also writes events for TensorBoard (an extra)")] = False

    def __post_init__(self) -> None:
        """What a run writes, and what `--overwrite` removes, lies below `dir`."""
        if "\0" in f"{self.name}{self.dir}":
            raise ValueError("name and dir must be paths: there is a zero in them")
        if self.name is not None and (PurePath(self.name).is_absolute() or ".." in PurePath(self.name).parts):
            raise ValueError(f"name must be that of a folder below dir (got {self.name!r}); say with dir where that is")


@config
class Averaging:
    """An average of the iterates, used in place of the last parameters for validation and afterwards.

    References:
      Polyak & Juditsky (1992), Acceleration of stochastic approximation by averaging; Merity, Keskar & Socher (2018),
      Regularizing and optimizing LSTM language models (nt_asgd).
    """

    name: Annotated[
        Literal["none", "ema", "mean", "nt_asgd"],
        Field(
            description="none, exponential moving average, mean since `start`, or mean since the first validation that "
            "is worse than the best of those more than `patience` validations before it"
        ),
    ] = "none"
    decay: Annotated[float, Field(gt=0, lt=1, description="of the exponential moving average, per step")] = 0.999
    start: Annotated[int, Field(ge=0, description="the first step of the mean")] = 0
    patience: Annotated[int, Field(ge=0, description="of nt_asgd: the last validations that are not looked at")] = 5


@config
class Training:
    """How a step is computed and when training ends early."""

    compute_dtype: Annotated[
        Literal["float32", "bfloat16"], Field(description="of products; parameters stay float32")
    ] = "float32"
    accumulate: Annotated[int, Field(ge=1, description="batches whose gradients make one optimizer step")] = 1
    averaging: Averaging = Averaging()
    early_stopping: EarlyStopping = EarlyStopping()
    bad_steps: BadSteps = BadSteps()


@config
class Mesh:
    """How many devices share the batch (`data`; -1: all) and how many share a model (`model`)."""

    data: Annotated[int, Field(ge=-1, description="devices that share the batch; -1: all there are")] = -1
    model: Annotated[int, Field(ge=1, description="devices that share one model, for large ones")] = 1

    def __post_init__(self) -> None:
        """Zero devices make no sense."""
        if self.data == 0:
            raise ValueError("data must be -1 (all devices) or at least 1")


@config
class Devices:
    """The devices a run uses."""

    mesh: Mesh = Mesh()
