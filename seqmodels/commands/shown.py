"""Lines that several commands print."""

from collections.abc import Mapping

from seqmodels.training.progress import format_measure


def say(line: str) -> None:
    """A line for people, never wrapped."""
    print(line, flush=True)


def show(metrics: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> None:
    """Each metric, with what simple methods reach."""
    for name, value in metrics.items():
        others = "".join(f"   {other} {x:.4g}" for other, x in baselines.get(name, {}).items())
        say(f"{name.partition('/')[0]:<6} {format_measure(name, value):<24}{others}".rstrip())
