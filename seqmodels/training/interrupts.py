"""Leaving a training run in good order when a person or a scheduler asks for it."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def exit_code(number: int) -> int:
    """Gives the exit code that a shell reports for a process ended by a signal.

    Args:
      number: the signal.

    Returns:
      128 + the signal's number: 130 after Ctrl-C, 143 after SIGTERM.

    Example:
      >>> exit_code(signal.SIGTERM)
      143
    """
    return 128 + int(number)


class Interrupts:
    """Turns the first Ctrl-C or SIGTERM into a flag that the loop reads between two steps.

    A training step must not be cut in the middle: its buffers are donated and its state would be neither the old
    one nor the new one. The first signal is therefore only noted in `requested`; the loop reads it after each step,
    saves and leaves. A second signal, of either kind, ends the process at once, as if nothing had been installed.

    Python delivers signals to the main thread alone, and only there can handlers be set: in any other thread this
    context does nothing. Leaving it puts the former handlers back.

    Attributes:
      requested: the first signal that came, or None.

    Example:
      >>> with Interrupts() as interrupts:
      ...     for step in range(10):
      ...         if step == 3:
      ...             signal.raise_signal(signal.SIGINT)  # what Ctrl-C does
      ...         if interrupts.requested:
      ...             break
      >>> step, interrupts.requested.name, exit_code(interrupts.requested)
      (3, 'SIGINT', 130)
    """

    requested: signal.Signals | None

    def __init__(self) -> None:
        self.requested = None
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            # A handler that was not set from Python reads as None and cannot be set from Python either.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.requested = signal.Signals(number)
