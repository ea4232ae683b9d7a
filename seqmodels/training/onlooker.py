"""A run folder as a process sees it that runs along and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from seqmodels.training.run_folder import JSON, MetricsFile, RunFolder


class Onlooker(RunFolder):
    """The run folder for all processes of a run but the one that leads: it can be read, and writing does nothing.

    Example:
      >>> import tempfile
      >>> run = Onlooker(tempfile.mkdtemp())
      >>> run.metrics.append({"step": 1})
      >>> run.metrics.read()
      []
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.metrics = _Unwritten(self.metrics.path)

    def write_text(self, name: str, text: str) -> None:
        """Nothing."""

    def append_text(self, name: str, text: str) -> None:
        """Nothing."""

    def force(self, *names: str) -> None:
        """Nothing."""


class _Unwritten(MetricsFile):
    def append(self, row: Mapping[str, JSON]) -> None:
        """Nothing."""

    def truncate_after(self, step: int) -> None:
        """Nothing."""
