"""What a person sees of a run: one live line on a terminal, plain lines elsewhere, TensorBoard on request."""

from __future__ import annotations

import importlib.util
import math
import os
import sys
import time
import unicodedata
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from seqmodels.errors import UserError

_UNITS: Final = {"nats": "nats", "bits": "bits", "seconds": "s", "s": "s", "percent": "%"}
_BAR_WIDTH: Final = 16


def format_number(value: float) -> str:
    """Writes a number for reading: 4 significant digits, thousands separated.

    Example:
      >>> [format_number(value) for value in (0.00012345, 1.23456, 12345.678, 250, float("nan"))]
      ['0.0001234', '1.235', '12,346', '250', 'nan']
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def format_measure(name: str, value: float) -> str:
    """Writes a measure with its unit, which the end of its name gives; the part before a slash is left out.

    Example:
      >>> format_measure("train/loss_nats", 1.23456), format_measure("train/tokens_per_s", 123456.7)
      ('loss 1.235 nats', '123,457 tokens/s')
      >>> format_measure("valid/bits_per_char", 2.0), format_measure("learning_rate", 0.002)
      ('2 bits/char', 'learning rate 0.002')
    """
    name = name.rpartition("/")[2]
    number = format_number(value)
    amount, per, unit = name.rpartition("_per_")
    if per:
        return f"{number} {amount}/{unit}".replace("_", " ")
    label, _, unit = name.rpartition("_")
    if label and unit in _UNITS:
        return f"{label} {number} {_UNITS[unit]}".replace("_", " ")
    return f"{name} {number}".replace("_", " ")


def _measures(row: Mapping[str, float]) -> str:
    return "  ".join(format_measure(name, value) for name, value in row.items())


class _Console(Console):
    """A console that goes quiet when nobody reads it any more: whoever pipes a run into `head` wants the run."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Progress:
    """Shows how training goes.

    On a terminal one line lives at the bottom: bar, step, measures and the time left. Validations, samples and notes
    stay above it. Elsewhere (a file, a pipe) each call prints plain lines, never wrapped, without control characters.

    Args:
      total_steps: the number of optimizer steps in the run.
      console: where to print; the standard output if None.

    Example:
      >>> import sys
      >>> with Progress(2000, console=Console(file=sys.stdout)) as progress:
      ...     progress.train(100, {"train/loss_nats": 2.345678, "grad_norm": 0.5})
      ...     progress.validation(100, {"valid/bits_per_char": 3.21})
      step 100/2,000  loss 2.346 nats  grad norm 0.5
      step 100/2,000  validation  3.21 bits/char
    """

    def __init__(self, total_steps: int, *, console: Console | None = None) -> None:
        self.total_steps = total_steps
        self.console = _Console() if console is None else console
        self._first: tuple[int, float] | None = None
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            # Drawn when there is news only: a thread that redraws would take time from the training loop.
            self._live = Live(Text(""), console=self.console, auto_refresh=False)
            self._live.start()
            self.console.show_cursor(True)  # a killed process must not leave the terminal without its cursor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def train(self, step: int, row: Mapping[str, float]) -> None:
        """Shows the measures of the training step `step`, in the order of `row`."""
        left = self._time_left(step)
        if self._live is None:
            self._print(Text("  ".join(filter(None, (self._position(step), _measures(row), left)))))
        else:
            self._live.update(self._line(step, row, left), refresh=True)

    def validation(self, step: int, row: Mapping[str, float]) -> None:
        """Adds a row with what the model reached on held-out data after `step`."""
        self._print(Text(f"{self._position(step)}  validation  {_measures(row)}", style="bold"))

    def text(self, title: str, body: str) -> None:
        """Adds a titled block, for instance a sample; its lines stay as they are, control characters are escaped."""
        self._print(Text(self._printable(title), style="bold"))
        self._print(Text(self._printable(body)))

    def note(self, message: str) -> None:
        """Adds a line as it is, brackets included."""
        self._print(Text(self._printable(message)))

    def _print(self, text: Text) -> None:
        self.console.print(text, soft_wrap=True, markup=False, highlight=False, emoji=False)

    def _position(self, step: int) -> str:
        return f"step {step:,}/{self.total_steps:,}"

    def _line(self, step: int, row: Mapping[str, float], left: str) -> Table:
        line = Table.grid(padding=(0, 2, 0, 0), expand=True)
        line.add_column(width=_BAR_WIDTH)
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        line.add_column(no_wrap=True, justify="right")
        bar = ProgressBar(total=self.total_steps, completed=step, width=_BAR_WIDTH)
        line.add_row(bar, Text(self._position(step)), Text(_measures(row)), Text(left))
        return line

    def _time_left(self, step: int) -> str:
        """Estimates from the first row on, so that neither compilation nor the steps before a resume count."""
        now = time.monotonic()
        if self._first is None:
            self._first = (step, now)
        first_step, first_time = self._first
        if step <= first_step:
            return ""
        seconds = (now - first_time) / (step - first_step) * max(self.total_steps - step, 0)
        return f"{timedelta(seconds=math.ceil(seconds))} left"

    def _printable(self, text: str) -> str:
        """Escapes what would steer the terminal or what its encoding does not have."""
        shown = "".join(
            character if character in "\n\t" or unicodedata.category(character) != "Cc" else repr(character)[1:-1]
            for character in text
        )
        return shown.encode(self.console.encoding, "backslashreplace").decode(self.console.encoding)


class TensorBoard:
    """Writes measures where TensorBoard finds them; a context manager.

    Args:
      folder: of the event files.
      first_step: the step that a resumed run does next: what was written from there on is hidden.

    Raises:
      UserError: if the extra package is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], *, first_step: int | None = None) -> None:
        self.require()
        from tensorboardX import SummaryWriter  # noqa: PLC0415 (an extra)

        # Its own file names are unique to the second only, and a file of the same name is overwritten.
        suffix = f".{time.time_ns()}"
        self._writer: Any = SummaryWriter(os.fspath(folder), purge_step=first_step, filename_suffix=suffix)

    @staticmethod
    def require() -> None:
        """Raises UserError if the extra package is not installed."""
        if importlib.util.find_spec("tensorboardX") is None:
            raise UserError('TensorBoard needs a package more: pip install "seqmodels[tensorboard]"')

    def write(self, step: int, row: Mapping[str, float]) -> None:
        """Adds one point to the curve of each measure in `row`."""
        for name, value in row.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Ends its file."""
        self._writer.close()

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
