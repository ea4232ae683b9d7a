"""Electricity transformer temperature: two years of hours, or quarters of an hour, of one transformer.

Zhou et al. (2021), Informer: beyond efficient transformer for long sequence time-series forecasting.
"""

from pathlib import Path
from typing import Final

from seqmodels.data.series import Panel
from seqmodels.data.series_files import Columns, read_panel
from seqmodels.data.sources import Source, SourceFile, fetch, read_bytes

_MONTH: Final = 30 * 24
_ENDS: Final = (12 * _MONTH, 16 * _MONTH, 20 * _MONTH)
_COLUMNS: Final = Columns(date="date")


def _source(name: str, size: int, sha256: str) -> Source:
    url = f"https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/{name}.csv"
    return Source(
        name="ett",
        files=(SourceFile(name=f"{name}.csv", size=size, sha256=sha256, urls=(url,)),),
        licence="CC BY-ND 4.0",
        about="Load and oil temperature of an electricity transformer (Zhou et al., 2021): 7 columns.",
    )


ETTH1: Final = _source("ETTh1", 2_589_657, "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066")
ETTM1: Final = _source("ETTm1", 10_360_719, "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e")


def etth1(folder: Path | None = None) -> Panel:
    """7 columns, hourly: 8,640 / 2,880 / 2,880 steps, 12, 4 and 4 months of 30 days; what follows is left out.

    Args:
      folder: where `ETTh1.csv` lies (`data.dir`); None means the cache, filled by download.

    Raises:
      DataError: if the file is missing, wrong or cannot be downloaded.
    """
    return _read("etth1", ETTH1, folder, 1)


def ettm1(folder: Path | None = None) -> Panel:
    """The same every 15 minutes: 34,560 / 11,520 / 11,520 steps.

    Args and errors are those of `etth1`, of the file `ETTm1.csv`.
    """
    return _read("ettm1", ETTM1, folder, 4)


def _read(name: str, source: Source, folder: Path | None, per_hour: int) -> Panel:
    (path,) = fetch(source, folder).values()
    text = read_bytes(path).decode("ascii")
    first, second, third = (per_hour * end for end in _ENDS)
    return read_panel(text, str(path), name, _COLUMNS, lambda _: (first, second, third))
