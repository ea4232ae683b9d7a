"""The table `[model.cell]`: any cell by its name, with its hyperparameters and regularisers as keys."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_type_hints

from pydantic import Field

from seqmodels.cells import (
    CELLS,
    Cell,
    GatedCell,
    LearnedState,
    Residual,
    Stack,
    VariationalDropout,
    WeightDrop,
    Zoneout,
)
from seqmodels.config import config

Rate = Annotated[float, Field(ge=0, lt=1)]


@config
class Layers:
    """What every table of a recurrent cell has beside the cell's own hyperparameters.

    The keys are applied to each layer, in this order: weight drop, variational dropout, zoneout, residual connection
    (above the first layer), learned initial state.
    """

    layers: Annotated[int, Field(ge=1, description="how many of these cells are stacked")] = 1
    dropout: Annotated[Rate, Field(description="rate of dropping connections between layers")] = 0.0
    variational: Annotated[bool, Field(description="one mask for all steps in that dropout")] = False
    weight_drop: Annotated[Rate, Field(description="rate of dropping recurrent weights")] = 0.0
    recurrent_dropout: Annotated[Rate, Field(description="rate of dropping h, one mask for all steps")] = 0.0
    zoneout: Annotated[Rate, Field(description="probability that a state unit keeps its value")] = 0.0
    top_size: Annotated[int | None, Field(ge=1, description="units of the top layer; default: hidden_size")] = None
    residual: Annotated[bool, Field(description="adds each layer's input to its output, above the first layer")] = False
    learned_state: Annotated[bool, Field(description="the initial state is a parameter")] = False

    def build(self) -> Cell:
        """The cell, stacked and regularised."""
        name = getattr(self, "name")  # noqa: B009 (declared by the subclasses made below)
        own = {key: getattr(self, key) for key, _, _ in _own_fields(CELLS[name])}
        sizes = [own["hidden_size"]] * (self.layers - 1) + [self.top_size or own["hidden_size"]]
        cells = [CELLS[name](**{**own, "hidden_size": size}) for size in sizes]
        return Stack(
            tuple(self._layer(cell, above=number > 0) for number, cell in enumerate(cells)),
            dropout=self.dropout,
            variational=self.variational,
        )

    def _layer(self, cell: Cell, *, above: bool) -> Cell:
        """One layer with its regularisers."""
        if not isinstance(cell, GatedCell):
            self._refuse_regularisers()
            return cell
        if self.weight_drop:
            cell = WeightDrop(cell, self.weight_drop)
        if self.recurrent_dropout:
            cell = VariationalDropout(cell, rate=0.0, recurrent_rate=self.recurrent_dropout)
        if self.zoneout:
            cell = Zoneout(cell, self.zoneout)
        if self.residual and above:
            cell = Residual(cell)
        return LearnedState(cell) if self.learned_state else cell

    def _refuse_regularisers(self) -> None:
        """Raises ValueError where a key asks for what only gated cells can have."""
        keys = ("weight_drop", "recurrent_dropout", "zoneout", "residual", "learned_state")
        if asked := [key for key in keys if getattr(self, key)]:
            name = getattr(self, "name")  # noqa: B009 (declared by the subclasses made below)
            raise ValueError(f"{asked[0]} is for gated cells such as lstm or gru; {name} is linear in its state")


def _table(name: str, cell: type[Cell]) -> type[Layers]:
    """The table of one cell: its name, its fields, and those of `Layers`."""
    fields: list[Any] = [("name", Literal[name], name)]
    for key, annotation, default in _own_fields(cell):
        wanted = (
            Annotated[annotation, Field(ge=1, description="units of a layer, H")]
            if key == "hidden_size"
            else annotation
        )
        fields.append((key, wanted) if default is dataclasses.MISSING else (key, wanted, default))

    def check(self: Layers) -> None:
        """Lets the cells check their own ranges and combinations."""
        self.build()

    made = dataclasses.make_dataclass(
        f"{cell.__name__}Table",
        fields,
        bases=(Layers,),
        namespace={"__post_init__": check, "__doc__": cell.__doc__},
        kw_only=True,
        frozen=True,
    )
    table: type[Layers] = config(made)
    return table


def _own_fields(cell: Any) -> list[tuple[str, Any, Any]]:
    """Name, type and default of a cell's hyperparameters."""
    types = get_type_hints(cell)
    return [(field.name, types[field.name], field.default) for field in dataclasses.fields(cell)]


TABLES = tuple(_table(name, cell) for name, cell in CELLS.items())

if TYPE_CHECKING:  # the union is made at run time from the cells that there are
    CellTable = Layers
else:
    CellTable = Annotated[Union[TABLES], Field(discriminator="name")]  # noqa: UP007 (no `|` over a tuple)
