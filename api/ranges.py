"""One range of a file, as RFC 9110 §14 has it; several at once are answered with the whole."""

import re
from dataclasses import dataclass

RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII)


class Unsatisfiable(Exception):
    """The range lies outside the file."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `first` to `last`, both included, of `size`."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        """Return the number of bytes."""
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        """Return the header that says which bytes they are."""
        return f"bytes {self.first}-{self.last}/{self.size}"


def span(header: str | None, size: int) -> Span | None:
    """Return what a Range header asks of a file; None: the whole, also where it makes no sense."""
    match = RANGE.fullmatch(header) if header else None
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":  # the last so many bytes
        count = int(match[2][:20])
        if count == 0 or size == 0:
            raise Unsatisfiable
        return Span(max(size - count, 0), size - 1, size)
    first = int(match[1][:20])
    last = int(match[2][:20]) if match[2] else size - 1
    if match[2] and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return Span(first, min(last, size - 1), size)
