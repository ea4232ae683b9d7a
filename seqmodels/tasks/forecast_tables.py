"""The config of forecasting."""

from collections.abc import Callable
from typing import Annotated, Final, Literal

from pydantic import Field

from seqmodels.config import config, make_whole
from seqmodels.data.frequencies import check_frequency
from seqmodels.data.series_files import Columns
from seqmodels.data.series_sets import SERIES_SETS
from seqmodels.engines import ENGINES
from seqmodels.models import Forecaster
from seqmodels.models.distribution_heads import Gaussian, NegativeBinomial, StudentT
from seqmodels.models.forecast_heads import LEVELS, Head, Point, Quantiles, check_levels
from seqmodels.models.forecaster import DECODINGS, NORMALISATIONS
from seqmodels.models.tables import CellTable, Rate
from seqmodels.training.optimizers import OptimizerConfig
from seqmodels.training.tables import Devices, Run, Training

Share = Annotated[float, Field(gt=0, lt=1)]

_HEADS: Final[dict[str, Callable[[tuple[float, ...]], Head]]] = {
    "quantiles": Quantiles,
    "gaussian": Gaussian,
    "student_t": StudentT,
    "negative_binomial": NegativeBinomial,
}


@config
class TaskTable:
    """The table `[task]`."""

    name: Literal["forecasting"]


@config
class DataTable:
    """The table `[data]`."""

    name: Annotated[Literal[tuple(SERIES_SETS)], Field(description="a known data set")] = "synthetic_series"  # type: ignore[valid-type]  # mypy wants the names spelled out
    path: Annotated[str | None, Field(description="your own .csv file, a step a row; wins over data.name")] = None
    dir: Annotated[str | None, Field(description="folder with the data set's files; default: download to a cache")] = (
        None
    )
    date_column: Annotated[str | None, Field(min_length=1, description="of data.path; default: there is none")] = None
    series_column: Annotated[
        str | None, Field(min_length=1, description="of data.path: tells several series apart; default: there is one")
    ] = None
    targets: Annotated[tuple[str, ...], Field(description="of data.path: what is forecast; default: all others")] = ()
    covariates: Annotated[tuple[str, ...], Field(description="of data.path: columns known for the future too")] = ()
    past_covariates: Annotated[
        tuple[str, ...], Field(description="of data.path: columns known for the past alone, and not forecast")
    ] = ()
    frequency: Annotated[
        str | None,
        Field(description='of dates, such as "1h"; gaps are refused; default: the usual one; "any": not checked'),
    ] = None
    missing: Annotated[
        Literal["error", "forward"],
        Field(description="of data.path: refuse missing values, or let the last one stand for them, not as a target"),
    ] = "error"
    valid_share: Annotated[Share, Field(description="of data.path: of the steps, before those of the test")] = 0.1
    test_share: Annotated[Share, Field(description="of data.path: of the steps, the last ones")] = 0.2
    context: Annotated[int, Field(ge=1, description="steps that are looked back on")] = 96
    horizon: Annotated[int, Field(ge=1, description="steps that are forecast")] = 24
    period: Annotated[int, Field(ge=1, description="steps of a season, for MASE and baselines; 1: none")] = 1
    scaler: Annotated[
        Literal["standard", "none"], Field(description="less mean, by deviation of each series' training steps")
    ] = "standard"
    stride: Annotated[int, Field(ge=1, description="steps between two forecasts of validation and test")] = 1
    owa: Annotated[bool, Field(description="also reports the M4 competition's average beside Naive2")] = False
    batch_size: Annotated[int, Field(ge=1, description="windows read side by side")] = 32
    eval_batch_size: Annotated[int, Field(ge=1, description="windows read side by side in validation and test")] = 128

    def __post_init__(self) -> None:
        """Makes paths whole, so that the config in the run folder means the same from anywhere, and checks the rest."""
        make_whole(self, "path", "dir")
        if self.period > self.context:
            raise ValueError(f"period must be at most context (got period {self.period}, context {self.context})")
        if self.valid_share + self.test_share >= 1.0:
            raise ValueError("valid_share and test_share must leave something to learn from")
        if self.frequency is not None:
            check_frequency(self.frequency)

    @property
    def columns(self) -> Columns:
        """How the columns of `path` are read."""
        return Columns(
            date=self.date_column,
            series=self.series_column,
            targets=self.targets,
            covariates=self.covariates,
            past_covariates=self.past_covariates,
            frequency=self.frequency,
            missing=self.missing,
        )


@config
class ModelTable:
    """The table `[model]`."""

    cell: CellTable
    head: Annotated[
        Literal["mse", "mae", *_HEADS],  # type: ignore[valid-type]  # mypy wants the names spelled out
        Field(description="what is forecast: a number (by its loss), quantiles, or a distribution"),
    ] = "mse"
    quantiles: Annotated[tuple[float, ...], Field(description="levels of the quantiles, and of those reported")] = (
        LEVELS
    )
    embedding_size: Annotated[int, Field(ge=1, description="of the cell's inputs")] = 64
    segment: Annotated[int, Field(ge=1, description="steps that the cell reads at a time")] = 1
    normalise: Annotated[
        Literal[NORMALISATIONS],  # type: ignore[valid-type]  # as above
        Field(description="less the window's last value; by 1 + its mean; or less its mean, by its deviation (window)"),
    ] = "none"
    independent: Annotated[bool, Field(description="each target is forecast from its own past")] = False
    decoding: Annotated[
        Literal[DECODINGS],  # type: ignore[valid-type]  # as above
        Field(description="all steps by one linear map, one step of the cell a segment, or segment after segment"),
    ] = "direct"
    paths: Annotated[int, Field(ge=2, description="drawn for each window by recursive decoding of distributions")] = 100
    output_dropout: Annotated[Rate, Field(description="rate of dropping features of the cell's outputs")] = 0.0
    method: Annotated[Literal[("auto", *ENGINES)], Field(description="the engine that runs the cell")] = "auto"  # type: ignore[valid-type]  # as above

    def __post_init__(self) -> None:
        """Checks the levels and the cell."""
        check_levels(self.quantiles)
        self.cell.build()

    @property
    def built_head(self) -> Head:
        """The head by its name."""
        if self.head in ("mse", "mae"):
            return Point(squared=self.head == "mse")
        return _HEADS[self.head](self.quantiles)

    def build(self, data: DataTable, *, targets: int, covariates: int, compute_dtype: str) -> Forecaster:
        """The model for so many columns."""
        return Forecaster(
            context=data.context,
            horizon=data.horizon,
            targets=targets,
            covariates=covariates,
            head=self.built_head,
            cell=self.cell.build(),
            embedding_size=self.embedding_size,
            segment=self.segment,
            normalise=self.normalise,
            independent=self.independent,
            decoding=self.decoding,
            output_dropout=self.output_dropout,
            method=self.method,
            compute_dtype=compute_dtype,
        )


@config
class Config:
    """A whole config of this task."""

    task: TaskTable
    run: Run = Run()
    data: DataTable = DataTable()
    model: ModelTable
    optimizer: OptimizerConfig
    training: Training = Training()
    devices: Devices = Devices()

    def __post_init__(self) -> None:
        """Checks the combination, some of it by building the model once."""
        if self.model.head == "negative_binomial" and self.data.scaler != "none":
            raise ValueError('model.head = "negative_binomial" forecasts counts: it needs data.scaler = "none"')
        self.model.build(self.data, targets=1, covariates=0, compute_dtype="float32")
