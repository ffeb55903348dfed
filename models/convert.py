"""From plain configuration to typed structs, with errors that say what to write instead."""

import difflib
import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from evenhand.errors import InvalidConfiguration

T = TypeVar("T")
_UNKNOWN_FIELD = re.compile(r"unknown field `([^`]+)`")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelt word: the closest known one, or else all of them.

    >>> nearest("treshold", ["threshold", "window"])
    "; did you mean 'threshold'?"
    """
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(words) or 'none'}"


def field_names(kind: Any) -> set[str]:
    """Return the names of all fields of a struct and of the structs within it."""
    names: set[str] = set()
    seen: set[int] = set()
    todo = [msgspec.inspect.type_info(kind)]
    while todo:
        info = todo.pop()
        if id(info) in seen or not isinstance(info, msgspec.inspect.Type):
            continue
        seen.add(id(info))
        if isinstance(info, msgspec.inspect.StructType):
            names.update(field.encode_name for field in info.fields)
            todo.extend(field.type for field in info.fields)
        for part in ("item_type", "value_type"):
            todo.extend([getattr(info, part)] if hasattr(info, part) else [])
        todo.extend(getattr(info, "types", ()))
    return names


def convert(data: Any, kind: type[T], where: str) -> T:
    """Convert to `kind`; what does not fit raises InvalidConfiguration with its place and the right word for a typo."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        unknown = _UNKNOWN_FIELD.search(str(error))
        hint = nearest(unknown.group(1), field_names(kind)) if unknown else ""
        raise InvalidConfiguration(f"{where}: {error}{hint}") from None
