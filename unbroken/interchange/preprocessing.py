"""The encoder as a module of torch: raw columns to the numbers and codes that a network takes, as `features.encoder` does."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unbroken.data.kinds import KINDS, CalendarPart
from unbroken.features.encoder import Encoder, NumberScale
from unbroken.interchange.columns import COUNTED, NO_COUNT

Columns = dict[str, Tensor]

MICROSECONDS = 1_000_000
MINUTE, HOUR, DAY = (seconds * MICROSECONDS for seconds in (60, 3600, 86_400))
DAYS_AN_ERA = 146_097
"""Days of 400 years, after which the calendar begins anew."""
SHIFT = 719_468 + 100 * DAYS_AN_ERA
"""Days from a first of March, longer ago than any instant, to 1970: whole numbers above 0 are divided alike everywhere."""


class Preprocessing(nn.Module):
    """What was fitted in training, applied to raw columns."""

    low: Tensor
    span: Tensor
    fill: Tensor
    part: Tensor
    constant: Tensor
    indicators: Tensor
    order: Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.scales, self.categories = encoder.numbers, [codes.name for codes in encoder.categories]
        # Halves of the largest floats can be subtracted where the floats themselves would overflow.
        part = torch.tensor([1.0 if _is_finite(scale.high - scale.low) else 0.5 for scale in self.scales]).double()
        low, high, fill = (
            _doubles([getattr(scale, name) for scale in self.scales]) for name in ("low", "high", "fill")
        )
        span = high * part - low * part
        buffers = {"part": part, "low": low * part, "span": span.where(high != low, 1.0), "fill": fill}
        buffers |= {"constant": high == low, "indicators": _indices([scale.indicator for scale in self.scales])}
        for name, buffer in {**buffers, "order": torch.tensor(_order(self.scales))}.items():
            self.register_buffer(name, buffer)

    def forward(self, columns: Columns) -> tuple[Float[Tensor, "rows numbers"], Int[Tensor, "rows categories"]]:
        """Return numbers in 0 .. 1 and the codes of the categories, which come as codes."""
        rows = next(iter(columns.values()))
        codes = [columns[name] for name in self.categories]
        stacked = torch.stack(codes, dim=1) if codes else torch.zeros_like(rows, dtype=torch.long).unsqueeze(1)[:, :0]
        if not self.scales:
            return torch.zeros_like(rows, dtype=torch.float32).unsqueeze(1)[:, :0], stacked
        values = torch.stack([_floats(columns[scale.name], scale) for scale in self.scales], dim=1)
        missing = values.isnan()
        parts = [part for scale in self.scales for part in _calendar(columns[scale.name], scale)]
        numbers = [self._scale(values.where(~missing, self.fill)), *(part.unsqueeze(1) for part in parts)]
        if len(self.indicators):
            numbers.append(missing.index_select(1, self.indicators).float())
        return torch.cat(numbers, dim=1).index_select(1, self.order), stacked

    def _scale(self, values: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
        scaled = ((values * self.part - self.low) / self.span).clamp(0, 1)
        return scaled.where(~self.constant, 0.0).float()


def _floats(column: Tensor, scale: NumberScale) -> Float[Tensor, " rows"]:
    """Return values as floats, NaN where they are missing; times in seconds."""
    if scale.kind not in COUNTED:
        return column
    return (column.double() / MICROSECONDS).where(_is_there(column), torch.nan)


def _calendar(column: Tensor, scale: NumberScale) -> list[Float[Tensor, " rows"]]:
    """Return the parts of the calendar of instants in 0 .. 1; 0 where there is none."""
    parts = KINDS[scale.kind].parts
    if not parts:
        return []
    there = _is_there(column)
    shifted = column.where(there, 0) + SHIFT * DAY
    return [_fraction(PARTS[part.name](shifted), part).where(there, 0.0) for part in parts]


def _fraction(values: Int[Tensor, " rows"], part: CalendarPart) -> Float[Tensor, " rows"]:
    return (values.float() - part.first) / (part.last - part.first)


def _is_there(column: Int[Tensor, " rows"]) -> Bool[Tensor, " rows"]:
    return column != NO_COUNT


def _of(values: Int[Tensor, " rows"], unit: int) -> Int[Tensor, " rows"]:
    """Return how many whole units numbers above 0 are."""
    return values // unit


def _month_and_day(shifted: Int[Tensor, " rows"]) -> tuple[Int[Tensor, " rows"], Int[Tensor, " rows"]]:
    """Return month and day of the month by Howard Hinnant's `civil_from_days`, whose years begin in March."""
    day = _of(shifted, DAY)
    day = day - _of(day, DAYS_AN_ERA) * DAYS_AN_ERA
    year = _of(day - _of(day, 1460) + _of(day, 36_524) - _of(day, 146_096), 365)
    day = day - (365 * year + _of(year, 4) - _of(year, 100))
    month = _of(5 * day + 2, 153)
    return month + torch.where(month < 10, 3, -9), day - _of(153 * month + 2, 5) + 1


def _weekday(shifted: Int[Tensor, " rows"]) -> Int[Tensor, " rows"]:
    day = _of(shifted, DAY) + (3 - SHIFT) % 7  # 1970 began on a Thursday
    return day - _of(day, 7) * 7


def _hour(shifted: Int[Tensor, " rows"]) -> Int[Tensor, " rows"]:
    hour = _of(shifted, HOUR)
    return hour - _of(hour, 24) * 24


def _minute(shifted: Int[Tensor, " rows"]) -> Int[Tensor, " rows"]:
    minute = _of(shifted, MINUTE)
    return minute - _of(minute, 60) * 60


PARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "month": lambda shifted: _month_and_day(shifted)[0],
    "day": lambda shifted: _month_and_day(shifted)[1],
    "weekday": _weekday,
    "hour": _hour,
    "minute": _minute,
}


def _order(scales: tuple[NumberScale, ...]) -> list[int]:
    """Return where each number of a model stands among all values, then all parts of the calendar, then all indicators."""
    order: list[int] = []
    part = len(scales)
    indicator = part + sum(len(KINDS[scale.kind].parts) for scale in scales)
    for index, scale in enumerate(scales):
        count = len(KINDS[scale.kind].parts)
        order += [index, *range(part, part + count), *([indicator] if scale.indicator else [])]
        part, indicator = part + count, indicator + scale.indicator
    return order


def _indices(chosen: list[bool]) -> Int[Tensor, " chosen"]:
    return torch.tensor([index for index, value in enumerate(chosen) if value], dtype=torch.long)


def _doubles(values: list[float]) -> Float[Tensor, " values"]:
    return torch.tensor(values, dtype=torch.float64)


def _is_finite(value: float) -> bool:
    return abs(value) < float("inf")
