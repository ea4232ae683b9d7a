"""The hourly series of the fourth Makridakis competition.

Makridakis, Spiliotis & Assimakopoulos (2020), The M4 competition: 100,000 time series and 61 forecasting methods.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from seqmodels.data.series import Numbers, Panel, Series
from seqmodels.data.sources import DataError, Source, SourceFile, fetch, read_bytes

HORIZON: Final = 48
PERIOD: Final = 24
_URL: Final = "https://raw.githubusercontent.com/Mcompetitions/M4-methods/master/Dataset"

M4_HOURLY: Final = Source(
    name="m4",
    files=(
        SourceFile(
            name="Hourly-train.csv",
            size=2_347_115,
            sha256="ea59b7783573c49077a835ab6465c7d66f1474783360f310988a9a737fbca62f",
            urls=(f"{_URL}/Train/Hourly-train.csv",),
        ),
        SourceFile(
            name="Hourly-test.csv",
            size=132_820,
            sha256="71a57fccb15e534d973626ada4fb87febf789e9317715b7cc6dd3b5f90db6f42",
            urls=(f"{_URL}/Test/Hourly-test.csv",),
        ),
    ),
    licence="none stated; for research",
    about="414 hourly series of the M4 competition (Makridakis et al., 2020): 700 to 960 steps, and 48 to forecast.",
)


def m4_hourly(folder: Path | None = None) -> Panel:
    """414 series: the 48 steps of the test file are the test, the 48 before them validation.

    Args:
      folder: where `Hourly-train.csv` and `Hourly-test.csv` lie (`data.dir`); None means the cache.

    Raises:
      DataError: if the files are missing, wrong or cannot be downloaded.
    """
    paths = fetch(M4_HOURLY, folder)
    return from_rows("m4_hourly", {name: read_bytes(path).decode("ascii") for name, path in paths.items()})


def from_rows(name: str, texts: Mapping[str, str]) -> Panel:
    """Makes a panel of files with a series a row: its name, its values, and empty cells up to the longest.

    Args:
      name: of the panel.
      texts: what stands in "Hourly-train.csv" and "Hourly-test.csv".

    Raises:
      DataError: if a cell is no number, or a series has no test.
    """
    before, after = (_rows(file.name, texts[file.name]) for file in M4_HOURLY.files)
    if missing := [series for series in before if series not in after]:
        raise DataError(f"{M4_HOURLY.files[1].name}: series {missing[0]!r} is not there; restore the original file")
    series = []
    for key, known in before.items():
        values = np.concatenate([known, after[key]])[:, None]
        ends = len(known) - len(after[key]), len(known), len(values)
        series.append(Series(key, values, np.ones_like(values, np.bool_), np.zeros((len(values), 0)), ends))
    return Panel(name, ("value",), (), tuple(series))


def _rows(file: str, text: str) -> dict[str, Numbers]:
    """The values of each row, by its first cell."""
    found = {}
    for number, (key, *cells) in enumerate(list(csv.reader(io.StringIO(text)))[1:], start=2):
        try:
            found[key] = np.array([float(cell) for cell in cells if cell], np.float64)
        except ValueError as error:
            raise DataError(f"{file}:{number}: series {key!r}: {error}; restore the original file") from error
    return found
