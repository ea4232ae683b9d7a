"""Which classes are taken for which."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Confusion(NamedTuple):
    """A confusion matrix; what is measured of a classifier follows from it.

    Attributes:
      counts: float64 [K, K]: how many examples of the class of the row were taken for the class of the column. Any
        multiple of them gives the same measures.
      classes: their names.

    Example:
      >>> confusion = Confusion.of(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), ("bad", "good"))
      >>> confusion.counts.tolist(), confusion.accuracy
      ([[1.0, 1.0], [0.0, 2.0]], 0.75)
    """

    counts: npt.NDArray[np.float64]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, labels: npt.NDArray[np.int32], found: npt.NDArray[np.int32], classes: tuple[str, ...]) -> "Confusion":
        """Counts the pairs of two arrays [n] of classes, the true ones and those that were found."""
        counts = np.zeros((len(classes), len(classes)))
        np.add.at(counts, (labels, found), 1.0)
        return cls(counts, classes)

    @property
    def accuracy(self) -> float:
        """The share of examples whose class was found."""
        return float(np.trace(self.counts) / self._sum)

    @property
    def macro_f1(self) -> float:
        """The mean over the classes of F1, each class counting alike.

            F1 = 2 · right / (true + found)

        Classes that neither occur nor were found are left out; with no examples at all it is 0.

        References:
          van Rijsbergen (1979), Information retrieval.
        """
        both = self.counts.sum(axis=0) + self.counts.sum(axis=1)
        f1 = 2.0 * np.diag(self.counts)[both > 0] / both[both > 0]
        return float(f1.mean()) if f1.size else 0.0

    @property
    def _sum(self) -> float:
        return float(self.counts.sum()) or 1.0

    def metrics(self) -> dict[str, float]:
        """Accuracy, macro-F1, and the share of errors in percent, which is lower when it is better."""
        accuracy = self.accuracy
        return {"accuracy": accuracy, "macro_f1": self.macro_f1, "error_percent": 100.0 * (1.0 - accuracy)}
