"""How numbers and dates are written as text, and what they mean."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

CODES = (
    "AED|ARS|AUD|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|JPY|KRW|MXN|MYR|NGN|NOK|NZD|PEN|PHP|PKR|PLN|"
    "RON|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR"
)
CURRENCY = rf"(?:[A-Z]{{0,3}}\p{{Sc}}|{CODES}|kr\.?|zł|Kč|Ft|Rs\.?)"
"""A sign, also with letters before it as in `US$`, a code, or what people write in its place."""
SIGN = r"[-+\x{2212}]?"
SPACE = r"[ \x{a0}\x{202f}\x{2009}]"
MARKS = (
    *("?", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "\u2026", ":", "*", "**", "***", "\\n"),
    *("none", "missing", "unknown", "unk", "nil", "na", "nan", "null", "n/a", "#n/a", "nat", "n.a.", "n. a.", "n.d."),
    *("tbd", "tba", "not available", "not applicable", "no data", "(blank)", "<null>", "(null)", "k.a.", "#value!"),
    *("#ref!", "#div/0!", "#name?", "#num!", "#null!"),
)
"""Words, in lower case, that among numbers or dates stand for nothing, however often they come."""
CODE = r"^\s*[-+]?0(?:[0-9]+|[xX][0-9a-fA-F]+)\s*$"
"""Digits with a leading zero, also hexadecimal ones: a code, not an amount."""
LONG = r"^\s*[-+]?[0-9]{17,}\s*$"
"""More digits than a float keeps: an id, not an amount."""
WHOLE = r"^\s*[-+]?[0-9]{1,15}\s*$"


class Format(Protocol):
    """A way to write values as text."""

    @property
    def name(self) -> str:
        """What a message calls it."""
        ...

    @property
    def kind(self) -> str:
        """The kind of column that such values make."""
        ...

    def parse(self, texts: pa.Array) -> pa.Array:
        """Return the values, null where a text is not written in this way."""
        ...


@dataclass(frozen=True)
class NumberFormat:
    """Numbers with a decimal mark and, between each three digits, a mark for thousands; also with a currency or percent sign."""

    decimal: str
    thousands: str = ""
    kind: str = field(default="number", init=False)

    @property
    def name(self) -> str:
        """What a message calls it."""
        decimal = "" if self.decimal == "." else " with a decimal comma"
        names = {"": "", ",": "comma", ".": "point", "'": "apostrophe", " ": "space"}
        return f"number{decimal}" + (f", thousands by {names[self.thousands]}" if self.thousands else "")

    def signs(self, texts: pa.Array) -> pa.Array:
        """Return what stands beside each number: a percent sign, a currency, or nothing."""
        signs = pc.struct_field(pc.extract_regex(texts, rf"(?P<sign>%|{CURRENCY})"), "sign")
        return pc.fill_null(signs, "")

    @cached_property
    def _pattern(self) -> str:
        mark = {"": "", ".": r"\.", " ": SPACE, "'": "['\\x{2019}]"}.get(self.thousands, self.thousands)
        whole = f"(?:[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{2,3}})*{mark}[0-9]{{3}}|[0-9]+)" if mark else "[0-9]+"
        point = r"\." if self.decimal == "." else ","
        digits = f"(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][-+]?[0-9]+)?"
        signed = f"(?:{CURRENCY}{SPACE}?{SIGN}|{SIGN}{SPACE}?{CURRENCY}?{SPACE}?)"
        return rf"^\s*(?:{signed}{digits}|\({CURRENCY}?{digits}\)){SPACE}?(?:%|{CURRENCY})?-?\s*$"

    def parse(self, texts: pa.Array) -> pa.Array:
        """Return the numbers as floats, a percentage as a part of 1; null where a text is no such number."""
        fits = pc.match_substring_regex(texts, self._pattern)
        texts = pc.if_else(fits, texts, pa.scalar(None, pa.string()))
        negative = pc.match_substring_regex(texts, r"[(\x{2212}]|^[^0-9]*-|-\s*$")
        percent = pc.match_substring(texts, "%")
        digits = pc.replace_substring_regex(texts, rf"{CURRENCY}|{SPACE}|\s|['\x{{2019}}%)]|-\s*$", "")
        digits = pc.replace_substring_regex(digits, r"^[-+(\x{2212}]+", "")
        if self.thousands in (",", "."):
            digits = pc.replace_substring(digits, self.thousands, "")
        numbers = pc.replace_substring(digits, self.decimal, ".").cast(pa.float64())
        numbers = pc.if_else(percent, pc.divide(numbers, 100.0), numbers)
        return pc.if_else(negative, pc.negate(numbers), numbers)


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
CLOCK = (
    r"(?:(?:,? +|T)(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
    r"(?:[ \x{202f}]?(?P<half>[AaPp]\.?[Mm]\.?))? ?(?P<zone>Z|UTC|GMT|[-+][0-9]{2}:?[0-9]{2}|[-+][0-9]{2})?)?"
)
WEEKDAY = r"(?:(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
DAY, MONTH = r"(?P<day>0?[1-9]|[12][0-9]|3[01])", r"(?P<month>0?[1-9]|1[0-2])"
YEAR, NAMED = (
    r"(?P<year>[0-9]{4}|[0-9]{2})",
    r"(?P<month>(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))[a-zA-Z]*",
)
LONG_YEAR = r"(?P<year>[0-9]{4})"


@dataclass(frozen=True)
class DateFormat:
    """Dates, and times of dates, whose parts come in one order with one mark between them."""

    name: str
    date: str
    kind: str = field(default="date", init=False)

    def parse(self, texts: pa.Array) -> pa.Array:
        """Return the moments as timestamps in UTC; null where a text is no such date, or a day that no month has."""
        pattern = rf"^\s*{self.date}{CLOCK}\s*$"
        if not pc.any(pc.match_substring_regex(texts, pattern)).as_py():
            return pa.nulls(len(texts), pa.timestamp("us"))
        parts = pc.extract_regex(texts, pattern)
        year, month, day = (pc.struct_field(parts, name) for name in ("year", "month", "day"))
        months = pc.index_in(pc.utf8_lower(month), value_set=pa.array(MONTHS))
        month = pc.coalesce(pc.add(months, 1).cast(pa.string()), month)
        century = pc.if_else(pc.less(pc.utf8_slice_codeunits(year, 0, 2), "69"), "20", "19")
        year = pc.if_else(pc.equal(pc.utf8_length(year), 2), pc.binary_join_element_wise(century, year, ""), year)
        dates = pc.strptime(
            pc.binary_join_element_wise(year, month, day, "-"), format="%Y-%m-%d", unit="s", error_is_null=True
        )
        real = pc.equal(pc.day(dates), day.cast(pa.int64()))
        dates = pc.if_else(pc.fill_null(real, False), dates, pa.scalar(None, dates.type)).cast(pa.timestamp("us"))
        return pc.add(dates, _clock(parts))

    def has_clock(self, texts: pa.Array) -> bool:
        """Tell whether a text names a time of day beside the date."""
        parts = pc.extract_regex(texts, rf"^\s*{self.date}{CLOCK}\s*$")
        return bool(pc.any(pc.not_equal(pc.struct_field(parts, "hour"), "")).as_py())


def _clock(parts: pa.Array) -> pa.Array:
    """Return the time of day of dates as a duration in microseconds, less the offset of their zone."""
    hour, minute, second = (_number(pc.struct_field(parts, name)) for name in ("hour", "minute", "second"))
    half = pc.replace_substring(pc.utf8_lower(pc.struct_field(parts, "half")), ".", "")
    noon = pc.and_(pc.equal(half, "pm"), pc.less(hour, 12))
    midnight = pc.and_(pc.equal(half, "am"), pc.equal(hour, 12))
    hour = pc.if_else(noon, pc.add(hour, 12), pc.if_else(midnight, 0, hour))
    fraction = _number(pc.utf8_slice_codeunits(pc.utf8_rpad(pc.struct_field(parts, "fraction"), 6, "0"), 0, 6))
    zone = pc.replace_substring_regex(pc.struct_field(parts, "zone"), ":|UTC|GMT", "")
    offset = pc.add(
        pc.multiply(_number(pc.utf8_slice_codeunits(zone, 1, 3)), 60), _number(pc.utf8_slice_codeunits(zone, 3, 5))
    )
    offset = pc.if_else(pc.starts_with(zone, "-"), pc.negate(offset), offset)
    minutes = pc.subtract(pc.add(pc.multiply(hour, 60), minute), offset)
    seconds = pc.add(pc.multiply(minutes, 60), second)
    return pc.add(pc.multiply(seconds, 1_000_000), fraction).cast(pa.duration("us"))


def _number(texts: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(texts, ""), "0", texts).cast(pa.int64())


@dataclass(frozen=True)
class DurationFormat:
    """Durations as pandas writes them: `1 days 02:03:04.5`."""

    name: str = "duration"
    kind: str = "duration"

    def parse(self, texts: pa.Array) -> pa.Array:
        """Return durations in microseconds; null where a text is none."""
        clock = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?"
        empty = "(?P<half>)(?P<zone>)"
        parts = pc.extract_regex(texts, rf"^\s*(?P<days>-?[0-9]+) days?(?: \+?{clock})?{empty}\s*$")
        days = pc.multiply(_number(pc.struct_field(parts, "days")), 86_400_000_000).cast(pa.duration("us"))
        return pc.add(days, _clock(parts))


@dataclass(frozen=True)
class TimeFormat:
    """Times of day: `23:59` or `23:59:59.5`."""

    name: str = "time of day"
    kind: str = "time"

    def parse(self, texts: pa.Array) -> pa.Array:
        """Return times of day in microseconds; null where a text is none."""
        hour = r"(?P<hour>[01]?[0-9]|2[0-3])"
        clock = rf"{hour}:(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9])(?:\.(?P<fraction>[0-9]{{1,9}}))?)?"
        parts = pc.extract_regex(texts, rf"^\s*{clock}(?: ?(?P<half>[AaPp]\.?[Mm]\.?))?(?P<zone>)\s*$")
        return _clock(parts).cast(pa.int64()).cast(pa.time64("us"))


@dataclass(frozen=True)
class BooleanFormat:
    """Yes and no, by a pair of words."""

    true: tuple[str, ...] = ("true",)
    false: tuple[str, ...] = ("false",)
    name: str = "boolean"
    kind: str = "boolean"

    def parse(self, texts: pa.Array) -> pa.Array:
        """Return booleans; null where a text is neither."""
        words = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
        yes, no = (pc.is_in(words, value_set=pa.array(values)) for values in (self.true, self.false))
        return pc.if_else(yes, True, pc.if_else(no, False, pa.scalar(None, pa.bool_())))


NUMBERS = tuple(
    NumberFormat(decimal, thousands)
    for decimal, marks in ((".", ("", ",", "'", " ")), (",", ("", ".", "'", " ")))
    for thousands in marks
)
YEAR_FIRST, DAY_FIRST, MONTH_FIRST = "date, year first", "date, day first", "date, month first"
DATES = (
    DateFormat(YEAR_FIRST, rf"{LONG_YEAR}(?:-){MONTH}(?:-){DAY}"),
    DateFormat(YEAR_FIRST, rf"{LONG_YEAR}/{MONTH}/{DAY}"),
    DateFormat(YEAR_FIRST, rf"{LONG_YEAR}\.{MONTH}\.{DAY}"),
    DateFormat(MONTH_FIRST, rf"{MONTH}/{DAY}/{YEAR}"),
    DateFormat(DAY_FIRST, rf"{DAY}/{MONTH}/{YEAR}"),
    DateFormat(DAY_FIRST, rf"{DAY}\.{MONTH}\.{YEAR}"),
    DateFormat(DAY_FIRST, rf"{DAY}-{MONTH}-{YEAR}"),
    DateFormat(MONTH_FIRST, rf"{MONTH}-{DAY}-{YEAR}"),
    DateFormat(MONTH_FIRST, rf"{MONTH}\.{DAY}\.{YEAR}"),
    DateFormat(DAY_FIRST, rf"{WEEKDAY}{DAY}[- /.]{NAMED}[- /.,]+{YEAR}"),
    DateFormat(MONTH_FIRST, rf"{WEEKDAY}{NAMED} {DAY},? {YEAR}"),
)
"""Of those that fit equally many cells, the first is meant."""
BOOLEAN, TIME, DURATION = BooleanFormat(), TimeFormat(), DurationFormat()
COMPACT = DateFormat(YEAR_FIRST, rf"{LONG_YEAR}(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12][0-9]|3[01])")
"""How a column that is known to hold dates may be written: nothing tells `20211231` from a number."""
WORDS = BooleanFormat(("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0"))
"""How a column that is known to be boolean may be written."""
FORMATS: tuple[Format, ...] = (*NUMBERS, *DATES, BOOLEAN, TIME, DURATION)


def looks_typed(texts: pa.Array) -> pa.Array:
    """Tell for each text whether it is a number or a date in any way of writing."""
    fits = [pc.is_valid(form.parse(texts)) for form in (*NUMBERS, *DATES)]
    result = fits[0]
    for fit in fits[1:]:
        result = pc.or_(result, fit)
    return result
