"""What the tables `[model]` of classifiers and taggers have in common."""

from typing import Annotated, Any, Literal

from pydantic import Field

from seqmodels.config import config
from seqmodels.engines import ENGINES
from seqmodels.layers import Bidirectional
from seqmodels.models.tables import CellTable, Rate


@config
class EncoderTable:
    """The keys that say how a sequence is read."""

    cell: CellTable
    directions: Annotated[Literal[1, 2], Field(description="2: one cell reads forwards, another one backwards")] = 1
    embedding_size: Annotated[int, Field(ge=1)] = 64
    embedding_dropout: Annotated[Rate, Field(description="rate of dropping whole symbols")] = 0.0
    input_dropout: Annotated[Rate, Field(description="rate of dropping features of the embedded inputs")] = 0.0
    output_dropout: Annotated[Rate, Field(description="rate of dropping features of what the scores are made of")] = 0.0
    variational: Annotated[bool, Field(description="one mask for all steps in dropout of sequences")] = False
    method: Annotated[Literal[("auto", *ENGINES)], Field(description="the engine that runs the cell")] = "auto"  # type: ignore[valid-type]  # mypy wants the names spelled out

    def encoder(self) -> dict[str, Any]:
        """The arguments of `seqmodels.models.encoder.Encoder` that the table gives."""
        cell = self.cell.build()
        return {
            "embedding_size": self.embedding_size,
            "cell": Bidirectional(cell, cell) if self.directions == 2 else cell,
            "embedding_dropout": self.embedding_dropout,
            "input_dropout": self.input_dropout,
            "output_dropout": self.output_dropout,
            "variational": self.variational,
            "method": self.method,
        }
