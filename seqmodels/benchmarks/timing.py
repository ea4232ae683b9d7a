"""Timing on a machine that does other things too: in turns, shuffled, and compared round by round."""

import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

Clock = Callable[[], float]


class Samples(NamedTuple):
    """Seconds a call of each contestant, one entry a round."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """The median in seconds."""
        return statistics.median(self.seconds[name])

    def quartiles(self, name: str) -> tuple[float, float]:
        """The lower and the upper quartile in seconds."""
        values = self.seconds[name]
        low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        return low, high

    def ratio(self, name: str, to: str) -> float:
        """How many times faster `name` is than `to`: the median of the ratios round by round."""
        return statistics.median(b / a for a, b in zip(self.seconds[name], self.seconds[to], strict=True))


def measure(
    runs: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    least: float = 0.02,
    clock: Clock = time.perf_counter,
) -> Samples:
    """Times everyone in every round, in an order that is shuffled anew.

    Args:
      runs: by name, what to call; each must wait for its result.
      rounds: times that each is measured.
      least: seconds a measurement lasts at least; quick runs are called several times in one.
      clock: seconds.

    Example:
      >>> measure({"nothing": lambda: None}, rounds=3).median("nothing") < 0.001
      True
    """
    calls = {}
    for name, run in runs.items():
        run()  # compiles, and maps memory
        run()
        began = clock()
        run()
        calls[name] = max(1, round(least / max(clock() - began, 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        order = list(runs)
        random.Random(number).shuffle(order)
        for name in order:
            began = clock()
            for _ in range(calls[name]):
                runs[name]()
            seconds[name].append((clock() - began) / calls[name])
    return Samples(seconds)
