"""What series are scaled by before a model sees them."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqmodels.data.series import Numbers, Panel


class Scaler(NamedTuple):
    """A location and a scale for each series and column, from the training steps alone.

        z = (y - location) / scale

    Attributes:
      location: float64 [S, C].
      scale: float64 [S, C], above 0.
      covariate_location: float64 [S, K].
      covariate_scale: float64 [S, K], above 0.

    Example:
      >>> from seqmodels.data.series import Series
      >>> values = np.array([[1.0], [3.0], [9.0]])
      >>> series = Series("a", values, np.ones((3, 1), bool), np.zeros((3, 0)), (2, 3, 3))
      >>> scaler = Scaler.fit(Panel("a.csv", ("y",), (), (series,)), "standard")
      >>> scaler.location.tolist(), scaler.scale.tolist()
      ([[2.0]], [[1.0]])
    """

    location: Numbers
    scale: Numbers
    covariate_location: Numbers
    covariate_scale: Numbers

    @classmethod
    def fit(cls, panel: Panel, name: str) -> "Scaler":
        """Fits a scaler: "standard" takes mean and standard deviation, "none" leaves the numbers alone.

        Only observed values count. What never changes is divided by 1.
        """
        found: list[tuple[Numbers, Numbers, Numbers, Numbers]] = []
        for series in panel.series:
            end = series.ends[0]
            covariates = series.covariates[:end]
            seen = np.ones(covariates.shape, np.bool_)
            moments = (_moments(series.values[:end], series.observed[:end]), _moments(covariates, seen))
            found.append((*moments[0], *moments[1]))
        arrays = [np.stack(part) for part in zip(*found, strict=True)]
        if name == "none":
            arrays = [np.full_like(part, number % 2) for number, part in enumerate(arrays)]
        return cls(*arrays)

    def to_json(self) -> dict[str, Any]:
        """Lists that `from_json` reads back exactly."""
        return {name: array.tolist() for name, array in self._asdict().items()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Scaler":
        """Reads what `to_json` wrote."""
        return cls(**{name: np.array(stored[name], np.float64) for name in cls._fields})


def _moments(values: Numbers, observed: npt.NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation of the observed values of each column, [C] each."""
    number = np.maximum(observed.sum(axis=0), 1)
    mean = np.where(observed, values, 0.0).sum(axis=0) / number
    deviation = np.sqrt(np.where(observed, (values - mean) ** 2, 0.0).sum(axis=0) / number)
    return mean, np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0)
