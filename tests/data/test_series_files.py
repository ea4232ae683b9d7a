"""The user's own series: how tables are read, and what is told of those that cannot be."""

import numpy as np
import pytest

from seqmodels.data.series_files import Columns, from_csv
from seqmodels.data.sources import DataError

TABLE = "date,load,heat\n" + "".join(f"2024-01-{day:02},{day},{-day}.5\n" for day in range(1, 11))
LONG = "date,shop,sales\n" + "".join(f"2024-01-{day:02},{shop},{day}\n" for shop in "ab" for day in range(1, 11))


def read(folder, text, columns=None, **more):
    path = folder / "series.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    columns = Columns(date="date") if columns is None else columns
    return from_csv(path, columns._replace(**more), valid_share=0.1, test_share=0.2)


def test_a_table_is_a_series_of_several_columns(tmp_path):
    panel = read(tmp_path, TABLE)
    (series,) = panel.series
    assert (panel.name, panel.targets, panel.covariates) == ("series.csv", ("load", "heat"), ())
    assert series.values.tolist() == [[day, -day - 0.5] for day in range(1, 11)]
    assert series.ends == (7, 8, 10)
    assert series.covariates.shape == (10, 0)
    assert series.observed.all()


def test_columns_may_be_chosen(tmp_path):
    panel = read(tmp_path, TABLE, targets=("heat",), covariates=("load",))
    assert panel.series[0].values[:, 0].tolist() == [-day - 0.5 for day in range(1, 11)]
    assert panel.series[0].covariates[:, 0].tolist() == list(range(1, 11))
    assert panel.series[0].name == "heat"
    without = read(tmp_path, TABLE, Columns(targets=("load",)))
    assert without.targets == ("load",)


def test_a_column_tells_series_apart(tmp_path):
    panel = read(tmp_path, LONG, series="shop")
    assert [(series.name, len(series.values)) for series in panel.series] == [("a", 10), ("b", 10)]
    mixed = LONG.splitlines()
    rows = "\n".join([mixed[0], *sorted(mixed[1:])])
    assert read(tmp_path, rows, series="shop").fingerprint == panel.fingerprint


def test_missing_values_are_refused_or_filled_and_never_targets(tmp_path):
    text = TABLE.replace("2024-01-03,3,", "2024-01-03,,").replace("-9.5", "NaN")
    with pytest.raises(DataError, match=r"series.csv:4: column 'load': a value is missing.*data.missing=forward"):
        read(tmp_path, text)
    (series,) = read(tmp_path, text, missing="forward").series
    assert series.values[2].tolist() == [2.0, -3.5]
    assert series.values[8].tolist() == [9.0, -8.5]
    assert np.argwhere(~series.observed).tolist() == [[2, 0], [8, 1]]


def test_what_stands_for_training_values_is_none_of_validation_or_test(tmp_path):
    lines = LONG.replace("shop,sales", "shop,sales,heat").splitlines()
    gaps = [lines[0], *(f"{line},{5 + row if row in (6, 17) else ''}" for row, line in enumerate(lines[1:]))]
    one, both = ("\n".join(gaps[:end]) for end in (11, 21))
    settings = {"series": "shop", "missing": "forward"}
    assert read(tmp_path, one, **settings).series[0].values[:, 1].tolist() == [11.0] * 10  # the last training step's
    fault = r"csv:19: the first value of column 'heat' of series 'b' comes after the 7 steps to learn from; leave it"
    for columns in ({}, {"targets": ("sales",), "covariates": ("heat",)}):
        with pytest.raises(DataError, match=fault):
            read(tmp_path, both, **settings, **columns)


def test_spaces_quotes_marks_and_line_ends_do_no_harm(tmp_path):
    plain = read(tmp_path, TABLE)
    other = "\ufeff" + TABLE.replace("load", '"load"').replace(",5,", ', "5" ,'.replace('"', "")).replace("\n", "\r\n")
    assert read(tmp_path, other + "\r\n").fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", r"series.csv: the file is empty"),
        (b"date,load\n", r"series.csv: there are no rows below the names"),
        (b"date\n2024-01-01\n", r"series.csv:1: no column is left to forecast; name one with data.targets"),
        (b"date,load,load\n", r"series.csv:1: the column 'load' is named twice"),
        (
            b"day,load\n1,2\n",
            r"series.csv:1: there is no column 'date' \(there: 'day', 'load'\).*data.date_column=NAME",
        ),
        (b"date,load\n2024-01-01,much\n", r"series.csv:2: column 'load': not a number \(got 'much'\)"),
        (b"date,load\n2024-01-01,inf\n", r"series.csv:2: column 'load': not a finite number"),
        (b"date,load\n2024-01-01,-2e30\n", r"series.csv:2: column 'load': too large, beyond 1e\+30 \(got '-2e30'\)"),
        (b"date,load\n2024-01-01,1,5\n", r"series.csv:2: 3 cells, but the first line has 2; .*decimal point"),
        (b"date,load\n1.1.2024,1\n", r"series.csv:2: column 'date': not a date \(got '1.1.2024'\); write it as"),
        (b"date,load\n2024-01-02,1\n2024-01-01,1\n", r"series.csv:3: column 'date': 2024-01-01 comes after.*sort"),
        (b"date,load\n2024-01-02,1\n2024-01-02,1\n", r"series.csv:3: .*data.series_column"),
        (b"date,load\n2024-01-01,1\n2024-01-02T00:00+01:00,1\n", r"series.csv:3: .*has a time zone, or others"),
        (b'date,load\n2024-01-01,"1\n', r"series.csv:\d: cannot be read .*double quote"),
        (b"\xff\xfed\x00", r"series.csv: the file is in UTF-16; save it as UTF-8"),
        ("date,größe\n2024-01-01,1\n".encode("latin-1"), r"series.csv: not UTF-8 at byte 7; save it as UTF-8"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, text, fault):
    with pytest.raises(DataError, match=fault):
        read(tmp_path, text)


def test_columns_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match=r"no column 'loud'; did you mean 'load'\?.*data.targets=NAME"):
        read(tmp_path, TABLE, targets=("loud",))
    with pytest.raises(DataError, match=r"no column 'wind'.*data.covariates=NAME"):
        read(tmp_path, TABLE, covariates=("wind",))
    with pytest.raises(DataError, match=r"no column 'wind'.*data.past_covariates=NAME"):
        read(tmp_path, TABLE, past_covariates=("wind",))
    with pytest.raises(DataError, match=r"'load' is named twice; give each column one name and one use"):
        read(tmp_path, TABLE, targets=("load",), covariates=("load",))
    with pytest.raises(DataError, match=r"no column 'store'.*data.series_column=NAME"):
        read(tmp_path, TABLE, series="store")


def test_rows_and_columns_without_anything(tmp_path):
    with pytest.raises(DataError, match=r"series.csv:4: column 'shop' is empty"):
        read(tmp_path, LONG.replace("2024-01-03,a", "2024-01-03,"), series="shop")
    empty = "load,heat\n" + "1,\n" * 5
    with pytest.raises(DataError, match=r"column 'heat' has no value at all; leave it out"):
        read(tmp_path, empty, Columns(missing="forward"))
    with pytest.raises(DataError, match=r"must end in .csv"):
        from_csv(tmp_path / "series.xlsx", Columns(), valid_share=0.1, test_share=0.1)
    with pytest.raises(DataError, match=r"there is no such file"):
        from_csv(tmp_path / "absent.csv", Columns(), valid_share=0.1, test_share=0.1)


@pytest.mark.parametrize(
    ("frequency", "dates", "gap", "missing"),
    [
        ("1d", ["2024-02-28", "2024-02-29", "2024-03-01"], "2024-03-03", "2024-03-02"),
        (
            "15min",
            ["2024-01-01 00:00:00", "2024-01-01 00:15:00", "2024-01-01 00:30:00"],
            "2024-01-01 01:00:00",
            "2024-01-01 00:45:00",
        ),
        ("1mo", ["2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29"], "2024-04-30", "2024-03-31"),
        ("1mo", ["2023-11", "2023-12", "2024-01"], "2024-03", "2024-02"),
        ("3mo", ["2023-03-31", "2023-06-30", "2023-09-30"], "2024-03-31", "2023-12-31"),
        ("1y", ["2022-01-01", "2023-01-01", "2024-01-01"], "2026-01-01", "2025-01-01"),
    ],
)
def test_gaps_are_told_whether_the_frequency_is_given_or_not(tmp_path, frequency, dates, gap, missing):
    text = "date,load\n" + "".join(f"{date},1\n" for date in dates)
    panel = read(tmp_path, text, frequency=frequency)
    assert (len(panel.series[0].values), panel.frequency) == (len(dates), frequency)
    assert panel.series[0].dates == tuple(dates)
    assert read(tmp_path, text).frequency == frequency
    place = rf"csv:{len(dates) + 2}: column 'date': {gap} is not "
    for given, said in ((frequency, f"data.frequency={frequency}"), (None, f"{frequency}, the usual step,")):
        with pytest.raises(DataError, match=rf"{place}{said} after {dates[-1]}; {missing} is missing; .*frequency=any"):
            read(tmp_path, f"{text}{gap},1\n", frequency=given)
    whatever = read(tmp_path, f"{text}{gap},1\n", frequency="any")
    assert (len(whatever.series[0].values), whatever.frequency) == (len(dates) + 1, None)


def test_a_gap_is_told_by_the_step_that_is_usual_in_all_series(tmp_path):
    gap = LONG.replace("2024-01-04,b,4\n", "")
    with pytest.raises(DataError, match=r"csv:15: column 'date': 2024-01-05 is not 1d, the usual.*2024-01-04 is miss"):
        read(tmp_path, gap, series="shop")
    short = gap.partition("2024-01-06,b")[0] + "2024-01-05,c,1\n2024-01-07,c,1\n2024-01-09,c,1\n"
    with pytest.raises(DataError, match=r"2024-01-05 is not 1d, the usual step"):
        read(tmp_path, short, series="shop")


def test_dates_without_a_usual_step_are_no_gaps(tmp_path):
    dates = ("2024-01-01", "2024-01-02", "2024-01-05", "2024-01-06", "2024-02-11")
    panel = read(tmp_path, "date,load\n" + "".join(f"{date},1\n" for date in dates))
    assert (panel.frequency, len(panel.series[0].values)) == (None, 5)
