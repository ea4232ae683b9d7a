"""What a key of a config may be in a sweep."""

from typing import Annotated, Any

from pydantic import Field

from seqmodels.config import config

Number = int | float
Choice = bool | int | float | str


@config
class Range:
    """From `low` to `high`, both included, or one of `choices`.

    Whole numbers are drawn where all of `low`, `high` and `step` are whole; write 1.0 to mean numbers.

    Example:
      >>> Range(low=32, high=128, step=32).values
      (32, 64, 96, 128)
      >>> Range(low=1e-3, high=1e-1, log=True).values is None
      True
      >>> Range(choices=("lstm", "gru")).ends
      ('lstm', 'gru')
    """

    low: Annotated[Number | None, Field(description="the least")] = None
    high: Annotated[Number | None, Field(description="the most")] = None
    step: Annotated[Number | None, Field(gt=0, description="between two neighbours; default: 1, or all between")] = None
    log: Annotated[bool, Field(description="drawn evenly by their logarithms")] = False
    choices: Annotated[
        tuple[Choice, ...] | None,
        Field(min_length=1, description="each as after `=` on the command line; in place of all other keys"),
    ] = None

    def __post_init__(self) -> None:
        """Checks that it is one or the other, and not empty."""
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.step is not None or self.log:
                raise ValueError("choices stand alone; leave out low, high, step and log")
            if len({(type(choice), choice) for choice in self.choices}) < len(self.choices):
                raise ValueError(f"choices must differ from each other (got {list(self.choices)})")
            return
        if self.low is None or self.high is None:
            raise ValueError("must have low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"low must be below high (got {self.low} and {self.high})")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other; leave one out")
        if self.log and not self.low > 0:
            raise ValueError(f"with log, low must be above 0 (got {self.low})")

    @property
    def whole(self) -> bool:
        """Whether whole numbers are drawn."""
        given = [bound for bound in (self.low, self.high, self.step) if bound is not None]
        return self.choices is None and all(isinstance(bound, int) for bound in given)

    @property
    def values(self) -> tuple[Any, ...] | None:
        """All values, in order; None where there is one between any two."""
        if self.choices is not None or self.low is None or self.high is None:
            return self.choices
        step = 1 if self.whole and self.step is None else self.step
        if step is None:
            return None
        number = int((self.high - self.low) / step + 1e-9) + 1
        return tuple(self.low + step * place for place in range(number))

    @property
    def ends(self) -> tuple[Any, ...]:
        """All choices, or the least and the most."""
        return (self.low, self.high) if self.choices is None else self.choices
