"""What was measured, as tables and as JSON."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax

from seqmodels.benchmarks.speed import IN_FLOAT32, OURS, Outcome, geometric_mean
from seqmodels.errors import UserError

_LIBRARIES = ("jax", "jaxlib", "flax", "dm-haiku", "equinox", "torch")


def machine() -> dict[str, Any]:
    """What the figures depend on: device, cores, versions."""
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            versions[library] = "absent"
    return {
        "device": jax.devices()[0].device_kind,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown.

    Example:
      >>> table(["a", "b"], [["1", "2"]])
      ['| a | b |', '|---|---|', '| 1 | 2 |']
    """
    lines = ["| " + " | ".join(row) + " |" for row in (header, *rows)]
    return [lines[0], "|" + "---|" * len(header), *lines[1:]]


def speed_table(outcomes: Sequence[Outcome]) -> list[str]:
    """Everyone's figures, case by case."""
    header = ["T, B, H", "Type", "", "ms, median (quartiles)", "vs best JAX peer", "vs torch", "of the bound"]
    header += ["Compile, s", "Temporary, MB", "Error"]
    return table(header, [_row(outcome, name) for outcome in outcomes for name in outcome.samples.seconds])


def _row(outcome: Outcome, name: str) -> list[str]:
    median, (low, high) = outcome.samples.median(name), outcome.samples.quartiles(name)
    ratios = outcome.against(name)
    floor = "" if outcome.floor_s is None else f"; floor {1e3 * outcome.floor_s:.1f} ms"
    return [
        str(outcome.case),
        outcome.dtype,
        name,
        f"{1e3 * median:.1f} ({1e3 * low:.1f} to {1e3 * high:.1f})",
        f"{ratios['best JAX peer']:.2f}" if "best JAX peer" in ratios else "",
        f"{ratios['torch']:.2f}" if "torch" in ratios else "",
        f"{100 * outcome.bound_s / median:.0f}%" + floor,
        f"{outcome.compile_s[name]:.2f}" if name in outcome.compile_s else "",
        f"{outcome.temporary[name] / 1e6:.1f}" if name in outcome.temporary else "",
        f"{outcome.errors[name]:.0e}",
    ]


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Geometric means over the cases, type by type and engine by engine: times faster than the others."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for dtype in dict.fromkeys(outcome.dtype for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.dtype == dtype]
        for name in mine[0].samples.seconds:
            if not name.startswith(OURS) or name.endswith(IN_FLOAT32):
                continue
            against = [outcome.against(name) for outcome in mine]
            ratios = {key: [each[key] for each in against] for key in against[0]}
            found[dtype, name] = {
                key: f"{geometric_mean(values):.2f} (least {min(values):.2f})" for key, values in ratios.items()
            }
    columns = list(dict.fromkeys(key for cells in found.values() for key in cells))
    rows = [[*names, *(cells.get(key, "") for key in columns)] for names, cells in found.items()]
    return table(["Type", "", *(f"times faster than {name}" for name in columns)], rows)


def as_json(samples: dict[str, Any]) -> str:
    """What was measured, with the machine."""
    return json.dumps({"machine": machine(), **samples}, indent=1) + "\n"


def check(document: Path) -> None:
    """Raises UserError if the document is not there: better before the measurement than after it."""
    if not document.is_file():
        raise UserError(f"{document}: no such file to put the tables into")


def put(document: Path, name: str, lines: Sequence[str]) -> None:
    """Puts lines between the markers `<!-- begin: name -->` and `<!-- end: name -->` of a document.

    Raises:
      UserError: if the document has no such markers.
    """
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    text = document.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise UserError(f"{document}: no lines {begin} and {end} to put the table between")
    before, after = text.split(begin, 1)[0], text.split(end, 1)[1]
    document.write_text("\n".join([before + begin, *lines, end + after]), encoding="utf-8")
