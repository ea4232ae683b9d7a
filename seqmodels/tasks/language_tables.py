"""The tables of a config of language modelling."""

from typing import Annotated, Literal

from pydantic import Field

from seqmodels.config import config, make_whole
from seqmodels.data.bpe import DEFAULT_SIZE
from seqmodels.data.corpora import CORPORA
from seqmodels.engines import ENGINES
from seqmodels.models import LanguageModel, Sampling
from seqmodels.models.tables import CellTable, Rate
from seqmodels.training.optimizers import OptimizerConfig
from seqmodels.training.tables import Devices, Run, Training


@config
class TaskTable:
    """The table `[task]`."""

    name: Literal["language_modelling"]
    loss: Annotated[
        Literal["mean", "sum_over_time"],
        Field(description="over the predictions of a window, or summed over time and averaged over the rows"),
    ] = "mean"
    activation_penalty: Annotated[
        float, Field(ge=0, description="AR, α: times the mean square of the cell's outputs after their dropout")
    ] = 0.0
    temporal_penalty: Annotated[
        float, Field(ge=0, description="TAR, β: times the mean squared change of its outputs from step to step")
    ] = 0.0


@config
class DataTable:
    """The table `[data]`."""

    name: Annotated[Literal[tuple(CORPORA)], Field(description="a known corpus")] = "python_docs"  # type: ignore[valid-type]  # mypy wants the names spelled out
    path: Annotated[str | None, Field(description="a text file of your own; wins over data.name")] = None
    dir: Annotated[str | None, Field(description="folder with the corpus's files; default: download to a cache")] = None
    unit: Annotated[
        Literal["char", "byte", "word", "bpe"] | None,
        Field(description="what is predicted; default: the corpus's own, char for data.path; bpe is an extra"),
    ] = None
    vocabulary: Annotated[
        int | None, Field(ge=3, description=f"most symbols: with words default all, with bpe {DEFAULT_SIZE}")
    ] = None
    batch_size: Annotated[int, Field(ge=1, description="rows of text read side by side")] = 32
    window: Annotated[int, Field(ge=1, description="symbols between two updates: the gradient's reach")] = 64
    variable_window: Annotated[
        bool, Field(description="windows differ in length, one in twenty is about half as long; window is the longer")
    ] = False
    shift: Annotated[bool, Field(description="moves the borders of the windows from epoch to epoch")] = True
    eval_batch_size: Annotated[int, Field(ge=1, description="rows in validation and test; 1: one unbroken text")] = 16
    eval_window: Annotated[int, Field(ge=1, description="symbols read at a time in validation and test")] = 256

    def __post_init__(self) -> None:
        """Makes paths whole, so that the config in the run folder means the same from anywhere."""
        make_whole(self, "path", "dir")


@config
class ModelTable:
    """The table `[model]`."""

    cell: CellTable
    embedding_size: Annotated[int, Field(ge=1)] = 64
    tied: Annotated[bool, Field(description="output weights are the embedding")] = False
    embedding_dropout: Annotated[Rate, Field(description="rate of dropping whole symbols")] = 0.0
    input_dropout: Annotated[Rate, Field(description="rate of dropping features of the embedded inputs")] = 0.0
    output_dropout: Annotated[Rate, Field(description="rate of dropping features of the cell's outputs")] = 0.0
    variational: Annotated[bool, Field(description="one mask for all steps in those two")] = False
    init_range: Annotated[float | None, Field(gt=0, description="draws all parameters from ± this")] = None
    method: Annotated[Literal[("auto", *ENGINES)], Field(description="the engine that runs the cell")] = "auto"  # type: ignore[valid-type]  # mypy wants the names spelled out

    def __post_init__(self) -> None:
        """Checks the combination by building the model once."""
        self.build(2, "float32")

    def build(self, vocabulary_size: int, compute_dtype: str) -> LanguageModel:
        """The model for a vocabulary."""
        return LanguageModel(
            vocabulary_size=vocabulary_size,
            embedding_size=self.embedding_size,
            cell=self.cell.build(),
            tied=self.tied,
            embedding_dropout=self.embedding_dropout,
            input_dropout=self.input_dropout,
            output_dropout=self.output_dropout,
            variational=self.variational,
            init_range=self.init_range,
            method=self.method,
            compute_dtype=compute_dtype,
        )


@config
class SampleTable:
    """The table `[sample]`: the text written at each validation."""

    prompt: Annotated[str, Field(description="what the text goes on from; empty: a line end")] = ""
    length: Annotated[int, Field(ge=0, description="symbols; 0: none is written")] = 300
    temperature: Annotated[float, Field(ge=0)] = 0.8
    top_k: Annotated[int | None, Field(ge=1)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    repetition_penalty: Annotated[float, Field(gt=0, description="above 1: what is there is less likely again")] = 1.0

    @property
    def sampling(self) -> Sampling:
        """How symbols are drawn."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.repetition_penalty)


@config
class Config:
    """A whole config of this task."""

    task: TaskTable
    run: Run = Run()
    data: DataTable = DataTable()
    model: ModelTable
    optimizer: OptimizerConfig
    training: Training = Training()
    sample: SampleTable = SampleTable()
    devices: Devices = Devices()

    def __post_init__(self) -> None:
        """Batches of one optimizer step must have one shape."""
        if self.data.variable_window and self.training.accumulate > 1:
            raise ValueError("data.variable_window needs training.accumulate=1: a step's batches must have one shape")
