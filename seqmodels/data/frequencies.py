"""The time between two steps of a series, such as "15min", "1h", "1d", "1w", "1mo", "1y"."""

import calendar
import datetime
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

ANY: Final = "any"
"""In the place of a frequency: every row is a step, whatever its date."""

_FREQUENCY: Final = re.compile(r"([1-9]\d*)(s|min|h|d|w|mo|y)")
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DAYS: Final = ("d", "w")
_MONTHS: Final = {"mo": 1, "y": 12}
_SHORT_DATE: Final = len("2024-12")


def check_frequency(text: str) -> None:
    """Raises ValueError if a text is neither a number and a unit nor "any".

    Example:
      >>> check_frequency("15min")
      >>> check_frequency("hourly")
      Traceback (most recent call last):
      ValueError: a frequency is a number and one of s, min, h, d, w, mo, y, such as "15min" or "1h", or "any" (got
      'hourly')
    """
    if text != ANY and not _FREQUENCY.fullmatch(text):
        units = ", ".join((*_SECONDS, *_MONTHS))
        raise ValueError(
            f'a frequency is a number and one of {units}, such as "15min" or "1h", or "{ANY}" (got {text!r})'
        )


def read_date(text: str) -> datetime.datetime:
    """A date, with or without a time of day; of a month its first day.

    Raises:
      ValueError: if it is none.

    Example:
      >>> read_date("2024-02").isoformat()
      '2024-02-01T00:00:00'
    """
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return datetime.datetime.fromisoformat(f"{text}-01")


def usual_frequency(pairs: Iterable[tuple[datetime.datetime, datetime.datetime]]) -> str | None:
    """The step by which most dates follow the one before; None if it is not that of more than half of them.

    Months and years are steps of the calendar, from a day to the same day, or to or from the end of a month; they have
    it unless a number of days is true of more pairs. Days are those of the clock on the wall, which summer time puts
    forward.

    Args:
      pairs: dates that follow each other.

    Example:
      >>> import itertools
      >>> days = [datetime.datetime(2024, 1, day) for day in (1, 2, 3, 5)]
      >>> usual_frequency(itertools.pairwise(days))
      '1d'
      >>> ends = [datetime.datetime(2024, 1, 31), datetime.datetime(2024, 2, 29), datetime.datetime(2024, 3, 31)]
      >>> usual_frequency(itertools.pairwise(ends))
      '1mo'
    """
    times: Counter[datetime.timedelta] = Counter()
    months: Counter[int] = Counter()
    for before, after in pairs:
        wall = _on_wall(before, after)
        times[wall if wall and not wall % _length("d") else after - before] += 1
        months[_months_between(before, after) if before.day == after.day or _is_end(before, after) else 0] += 1
    number = times.total()
    months[0] = 0
    if not number:
        return None
    (time, of_time), (month, of_month) = times.most_common(1)[0], months.most_common(1)[0]
    if 2 * max(of_time, of_month) <= number:
        return None
    if of_month >= of_time:
        return f"{month}mo" if month % 12 else f"{month // 12}y"
    unit = next((unit for unit in reversed(_SECONDS) if not time % _length(unit)), None)
    return None if unit is None else f"{time // _length(unit)}{unit}"


def follows(before: datetime.datetime, date: datetime.datetime, frequency: str) -> bool:
    """Whether a date is the next one; of months and years the day does not count, as not all have a 31st."""
    number, unit = _parts(frequency)
    if unit in _SECONDS:
        between = _on_wall(before, date) if unit in _DAYS else date - before
        return between == number * _length(unit)
    return _months_between(before, date) == number * _MONTHS[unit]


def following(dates: Sequence[datetime.datetime], frequency: str, number: int) -> list[datetime.datetime]:
    """The dates of the next steps; fewer where the calendar ends.

    In months and years that is the day of the others, or the last one of a month that has no such day. It is the last
    one of every month if all are.

    Args:
      dates: of the steps before, one at least.
      frequency: a number and a unit.
      number: of steps.

    Example:
      >>> [date.isoformat() for date in following([read_date("2024-01-31"), read_date("2024-02-29")], "1mo", 2)]
      ['2024-03-31T00:00:00', '2024-04-30T00:00:00']
    """
    each, unit = _parts(frequency)
    last, day = dates[-1], max(date.day for date in dates)
    if all(map(_is_end, dates)):
        day = 31
    found: list[datetime.datetime] = []
    for step in range(each, each * (number + 1), each):
        try:
            if unit in _SECONDS:
                found.append(last + step * _length(unit))
                continue
            year, month = divmod(12 * last.year + last.month - 1 + step * _MONTHS[unit], 12)
            found.append(last.replace(year=year, month=month + 1, day=min(day, _days(year, month + 1))))
        except (OverflowError, ValueError):  # after the year 9999
            break
    return found


def written(date: datetime.datetime, like: str) -> str:
    """A date in the form of another one: a month, a day, or a day and a time.

    Example:
      >>> date = datetime.datetime(2024, 2, 1, 23)
      >>> written(date, "2024-01"), written(date, "2024-01-31 22:00:00"), written(date, "2024-01-31T22:00")
      ('2024-02', '2024-02-01 23:00:00', '2024-02-01T23:00:00')
    """
    if len(like) == _SHORT_DATE:
        return f"{date:%Y-%m}"
    if date.time() == datetime.time() and not {" ", "T"} & set(like):
        return date.date().isoformat()
    return date.isoformat(sep="T" if "T" in like else " ")


def _parts(frequency: str) -> tuple[int, str]:
    """Number and unit."""
    match = _FREQUENCY.fullmatch(frequency)
    assert match is not None
    return int(match[1]), match[2]


def _length(unit: str) -> datetime.timedelta:
    return datetime.timedelta(seconds=_SECONDS[unit])


def _on_wall(before: datetime.datetime, after: datetime.datetime) -> datetime.timedelta:
    """The time that a clock on the wall shows to have gone by."""
    return after.replace(tzinfo=None) - before.replace(tzinfo=None)


def _months_between(before: datetime.datetime, after: datetime.datetime) -> int:
    return 12 * (after.year - before.year) + after.month - before.month


def _is_end(*dates: datetime.datetime) -> bool:
    """Whether one of them is the last day of a month."""
    return any(date.day == _days(date.year, date.month) for date in dates)


def _days(year: int, month: int) -> int:
    """Of a month."""
    return calendar.monthrange(year, month)[1]
