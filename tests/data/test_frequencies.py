"""Steps in time: which is usual, what comes next, and in which form it is written."""

import itertools

import pytest

from seqmodels.data.frequencies import check_frequency, following, follows, read_date, usual_frequency, written


def usual(*texts):
    return usual_frequency(itertools.pairwise(map(read_date, texts)))


@pytest.mark.parametrize("text", ["", "h", "0h", "1 h", "hourly", "1hour", "-1d", "Any"])
def test_what_is_no_frequency(text):
    with pytest.raises(ValueError, match="a frequency is a number and one of"):
        check_frequency(text)


@pytest.mark.parametrize("frequency", ["1s", "15min", "1h", "6h", "1d", "2d", "1w", "4w", "1mo", "3mo", "1y", "5y"])
@pytest.mark.parametrize("start", ["2023-01-31", "2023-12-01 23:45:00", "2024-02-29 12:00:00+01:00"])
def test_what_follows_has_the_step_that_is_found(frequency, start):
    check_frequency(frequency)
    dates = [read_date(start), *following([read_date(start)], frequency, 20)]
    assert usual_frequency(itertools.pairwise(dates)) == frequency
    assert all(follows(before, date, frequency) for before, date in itertools.pairwise(dates))
    assert not any(follows(before, date, frequency) for before, date in zip(dates, dates[2:], strict=False))


def test_the_usual_step_is_that_of_more_than_half():
    assert usual("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-09") == "1d"
    assert usual("2024-01-01", "2024-01-02", "2024-01-04") is None
    assert usual("2024-01-01") is None
    assert usual("2024-01-01 00:00:00.5", "2024-01-01 00:00:02") is None  # no whole seconds
    weeks = ["2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11", "2024-01-12", "2024-01-15"]
    assert usual(*weeks) == "1d"


def test_days_are_those_of_the_clock_on_the_wall():
    """In the night before the third day the clock was put forward."""
    dates = "2024-03-29T00:00+01:00", "2024-03-30T00:00+01:00", "2024-03-31T00:00+01:00", "2024-04-01T00:00+02:00"
    assert usual(*dates) == "1d"
    assert follows(*map(read_date, dates[2:]), "1d")
    assert not follows(*map(read_date, dates[2:]), "24h")
    assert follows(read_date("2024-03-31T01:00+01:00"), read_date("2024-03-31T03:00+02:00"), "1h")


@pytest.mark.parametrize(
    ("known", "frequency", "expected"),
    [
        (["2024-01-31"], "1mo", ["2024-02-29", "2024-03-31", "2024-04-30"]),
        (["2023-06-30", "2023-09-30"], "3mo", ["2023-12-31", "2024-03-31", "2024-06-30"]),
        (["2023-12-30", "2024-01-30"], "1mo", ["2024-02-29", "2024-03-30", "2024-04-30"]),
        (["2023-01-30", "2023-02-28"], "1mo", ["2023-03-30", "2023-04-30", "2023-05-30"]),
        (["2023-11", "2023-12"], "1mo", ["2024-01", "2024-02", "2024-03"]),
        (["2020-02-29"], "1y", ["2021-02-28", "2022-02-28", "2023-02-28"]),
        (["2024-02-27"], "1d", ["2024-02-28", "2024-02-29", "2024-03-01"]),
        (["2024-12-31 22:00:00"], "1h", ["2024-12-31 23:00:00", "2025-01-01 00:00:00", "2025-01-01 01:00:00"]),
        (["2024-12-31T22:00:00+01:00"], "12h", ["2025-01-01T10:00:00+01:00", "2025-01-01T22:00:00+01:00"]),
        (["9999-12-31"], "1d", []),
        (["9998-12-31"], "1y", ["9999-12-31"]),
    ],
)
def test_the_next_dates_are_those_of_the_calendar(known, frequency, expected):
    found = following([read_date(text) for text in known], frequency, 3)
    assert [written(date, known[-1]) for date in found][: len(expected)] == expected
    assert len(found) == 3 or expected[len(found) :] == []
