"""The table `[model]` of tasks whose inputs are vectors and that ask for an output at every step."""

from typing import Annotated, Literal

from pydantic import Field

from seqmodels.config import config
from seqmodels.engines import ENGINES
from seqmodels.models.sequence_model import SequenceModel
from seqmodels.models.tables import CellTable, Rate


@config
class SequenceModelTable:
    """The cell, and what is dropped around it."""

    cell: CellTable
    input_dropout: Annotated[Rate, Field(description="rate of dropping features of the inputs")] = 0.0
    output_dropout: Annotated[Rate, Field(description="rate of dropping features of the cell's outputs")] = 0.0
    method: Annotated[Literal[("auto", *ENGINES)], Field(description="the engine that runs the cell")] = "auto"  # type: ignore[valid-type]  # mypy wants the names spelled out

    def build(self, input_size: int, output_size: int, compute_dtype: str) -> SequenceModel:
        """The model for vectors of these sizes."""
        return SequenceModel(
            input_size=input_size,
            cell=self.cell.build(),
            output_size=output_size,
            input_dropout=self.input_dropout,
            output_dropout=self.output_dropout,
            method=self.method,
            compute_dtype=compute_dtype,
        )
