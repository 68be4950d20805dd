"""What a minute of audio costs by model: the price table of the settings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT, CURRENCY = "default", "currency"
MAX_PRICE = 1000
MODEL = re.compile(r"[A-Za-z0-9._:/-]{1,64}")
MS_PER_MINUTE, MICROS = 60_000, 1_000_000
ALLOWED = (
    'a table of prices of a minute by the beginning of the model\'s name, "default" for all '
    f"others, each 0 to {MAX_PRICE}, and currency (three capital letters); in the environment "
    "default=0.0043,whisper=0,currency=USD"
)


@dataclass(frozen=True, slots=True)
class Prices:
    """A price table: `currency` per minute of audio, by the beginning of a model's name."""

    per_minute: tuple[tuple[str, float], ...]  # the longest name first, "default" among them
    currency: str = "USD"

    def of(self, model: str | None) -> float:
        """Return the price of a minute; the longest name that the model's begins with wins."""
        for name, price in self.per_minute:
            if name != DEFAULT and (model or "").startswith(name):
                return price
        return dict(self.per_minute)[DEFAULT]

    def cost_micros(self, model: str | None, audio_ms: float) -> int:
        """Return what so much audio costs, in millionths of the currency, rounded."""
        return round(self.of(model) * MICROS * audio_ms / MS_PER_MINUTE)


def table(per_minute: Mapping[str, float], currency: str = "USD") -> Prices:
    """Return a price table of what costs how much."""
    longest_first = sorted(per_minute.items(), key=lambda entry: (-len(entry[0]), entry[0]))
    return Prices(tuple(longest_first), currency)


BUILT_IN = table({DEFAULT: 0.0043, "whisper": 0.0})


def read(value: Any) -> Prices:
    """Return what a setting says, laid over the built-in prices; ValueError if it makes no sense.

    The setting is a table of the file, or "default=0.0043,nova-3=0.0077" in the environment.
    """
    if isinstance(value, Prices):
        return value
    given = pairs(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise ValueError("that is no table")
    prices, currency = dict(BUILT_IN.per_minute), BUILT_IN.currency
    for name, amount in given.items():
        if name == CURRENCY:
            if not isinstance(amount, str) or not re.fullmatch("[A-Z]{3}", amount):
                raise ValueError(f"currency {amount!r} is not three capital letters")
            currency = amount
        elif not MODEL.fullmatch(name):
            raise ValueError(f"{name!r} can't begin the name of a model")
        else:
            prices[name] = price(name, float_of(amount) if isinstance(value, str) else amount)
    return table(prices, currency)


def price(name: str, amount: Any) -> float:
    """Return the price of one model if it is one."""
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise ValueError(f"{name}: {amount!r} is no number")
    if not 0 <= amount <= MAX_PRICE:  # nan compares as false
        raise ValueError(f"{name}: {amount!r} is not 0 to {MAX_PRICE}")
    return abs(float(amount))  # no -0.0


def float_of(text: str) -> float | str:
    """Return the number that a text is, else the text."""
    try:
        return float(text)
    except ValueError:
        return text


def pairs(text: str) -> dict[str, str]:
    """Return "a=1,b=2" as a dictionary; ValueError for another form and for a name twice."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise ValueError(f"{part!r} is not NAME=VALUE")
        if name in found:
            raise ValueError(f"{name!r} is there twice")
        found[name] = value
    return found
