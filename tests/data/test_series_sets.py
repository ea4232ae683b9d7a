"""The known data sets of series."""

import numpy as np
import pytest

from seqmodels.data.ett import etth1, ettm1
from seqmodels.data.m4 import from_rows, m4_hourly
from seqmodels.data.series_sets import SERIES_SETS
from seqmodels.data.sources import DataError
from seqmodels.data.synthetic_series import synthetic_series

ROWS = {
    "Hourly-train.csv": '"V1","V2","V3","V4","V5"\n"H1","1","2","3","4"\n"H2","5","6","7",""\n',
    "Hourly-test.csv": '"V1","V2"\n"H2","8"\n"H1","9.5"\n',
}


def test_made_up_series_are_decided_by_the_seed():
    one, again, other = (synthetic_series(seed=seed, number=3, steps=400) for seed in (0, 0, 1))
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert (one.series[0].values > 0).all()
    longer = synthetic_series(seed=0, number=4, steps=400)
    np.testing.assert_array_equal(longer.series[2].values, one.series[2].values)


def test_made_up_series_have_a_day():
    for series in synthetic_series(number=5).series:
        y = np.log(series.values[:, 0])
        changes = [np.abs(y[lag:] - y[:-lag]).mean() for lag in (12, 24)]
        assert changes[1] < 0.9 * changes[0]


def test_rows_of_the_competition():
    panel = from_rows("m4", ROWS)
    assert [(s.name, s.values[:, 0].tolist(), s.ends) for s in panel.series] == [
        ("H1", [1.0, 2.0, 3.0, 4.0, 9.5], (3, 4, 5)),
        ("H2", [5.0, 6.0, 7.0, 8.0], (2, 3, 4)),
    ]


def test_rows_that_are_damaged():
    with pytest.raises(DataError, match=r"Hourly-train.csv:3: series 'H2'.*restore the original"):
        from_rows("m4", ROWS | {"Hourly-train.csv": ROWS["Hourly-train.csv"].replace('"7"', '"x"')})
    with pytest.raises(DataError, match=r"Hourly-test.csv: series 'H1' is not there"):
        from_rows("m4", ROWS | {"Hourly-test.csv": '"V1","V2"\n"H2","8"\n'})


def test_files_that_are_missing(tmp_path):
    for name in ("etth1", "ettm1", "m4_hourly"):
        with pytest.raises(DataError, match="missing"):
            SERIES_SETS[name](tmp_path)


@pytest.mark.data
def test_ett_has_the_borders_of_the_literature(data_folder):
    for made, per_hour in ((etth1, 1), (ettm1, 4)):
        panel = made(data_folder)
        (series,) = panel.series
        assert series.ends == (8640 * per_hour, 11520 * per_hour, 14400 * per_hour)
        assert panel.targets == ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")


@pytest.mark.data
def test_the_competition_has_414_hourly_series(data_folder):
    panel = m4_hourly(data_folder)
    assert len(panel.series) == 414
    assert {series.ends[2] - series.ends[1] for series in panel.series} == {48}
    assert {min(s.ends[1] for s in panel.series), max(s.ends[1] for s in panel.series)} == {700, 960}
