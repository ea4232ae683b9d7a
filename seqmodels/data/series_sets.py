"""The data sets for forecasting that are known by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from seqmodels.data.ett import etth1, ettm1
from seqmodels.data.m4 import m4_hourly
from seqmodels.data.series import Panel
from seqmodels.data.synthetic_series import synthetic_series

SERIES_SETS: Final[dict[str, Callable[[Path | None], Panel]]] = {
    "synthetic_series": synthetic_series,
    "etth1": etth1,
    "ettm1": ettm1,
    "m4_hourly": m4_hourly,
}
