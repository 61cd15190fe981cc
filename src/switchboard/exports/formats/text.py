"""JSON as bytes, in one line, and whole lines of a file."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

_LONGEST = 64_000_000
"""Bytes of a line that is read at once; we write none that is longer."""


def to_json(value: Any) -> bytes:
    """``value`` in one line. What UTF-8 cannot hold (lone surrogates, which no database gives) becomes �."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return orjson.dumps(_mended(value))


def mended(text: str) -> str:
    """The text with � for lone surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return mended(value)
    if isinstance(value, list):
        return [_mended(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {_mended(key): _mended(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value


def lines(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The lines in the first ``size`` bytes of a file. Raises `ValueError` for one that is longer than any of ours."""
    file.seek(0)
    while size > 0 and (line := file.readline(min(size, _LONGEST))):
        if len(line) == _LONGEST:
            raise ValueError("a line is too long")
        size -= len(line)
        yield line


def object_in(line: bytes) -> dict[str, Any]:
    """The object in a line, a comma after it left out. Raises `ValueError` for anything else."""
    value = orjson.loads(line.strip().removesuffix(b","))
    if not isinstance(value, dict):
        raise ValueError("a line holds no object")
    return value  # pyright: ignore[reportUnknownVariableType]
