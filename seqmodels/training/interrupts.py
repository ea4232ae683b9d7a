"""Leaving a training run in good order when a person or a scheduler asks for it."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_PATIENCE: Final = 0.5  # seconds


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


class InterruptedRun(Exception):  # noqa: N818 (not an error: the run was stopped, and saved)
    """The run was stopped by a signal after everything was saved.

    Attributes:
      signal: which one.
      step: the step that was saved.
    """

    def __init__(self, number: signal.Signals, step: int) -> None:
        super().__init__(f"stopped by {number.name} at step {step}")
        self.signal = number
        self.step = step


class Interrupts:
    """Turns the first Ctrl-C or SIGTERM into a flag that the loop reads between two steps.

    A training step must not be cut in the middle: its buffers are donated and its state would be neither the old
    one nor the new one. The first signal is therefore only noted in `requested`; the loop reads it after each step,
    saves and leaves. A second signal, of either kind, ends the process at once, as if nothing had been installed. A
    handler has to wait while the main thread is outside Python, for minutes where a large program is compiled; there a
    thread that sees the signals come ends the process, with their exit code.

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
        self._former_descriptor = self._writing = -1

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._former[number] = signal.signal(number, self._note)
            reading, self._writing = os.pipe()
            os.set_blocking(self._writing, False)
            self._former_descriptor = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
            threading.Thread(target=_leave_at_the_second, args=(reading,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._former:
            signal.set_wakeup_fd(self._former_descriptor)
            os.close(self._writing)  # which ends the thread
        for number, handler in self._former.items():
            # A handler that was not set from Python reads as None and cannot be set from Python either.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.requested = signal.Signals(number)


def _leave_at_the_second(reading: int) -> None:
    """Reads the numbers of signals as they come; at the second of ours the main thread has a moment to leave itself."""
    seen = 0
    while number := os.read(reading, 1):
        seen += number[0] in SIGNALS
        if seen == 2:
            time.sleep(_PATIENCE)
            os._exit(exit_code(number[0]))
    os.close(reading)
