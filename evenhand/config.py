"""Policy as data: YAML text to typed Structs. What is misspelt, double or of the wrong type is named with its place."""

import difflib
import re
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
import yaml
from msgspec import inspect

from evenhand.errors import InvalidConfiguration
from evenhand.finite import not_finite

T = TypeVar("T")
_PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")


def load_yaml_strict(text: str, kind: type[T], where: str = "configuration") -> T:
    """YAML text as a Struct; InvalidConfiguration names the key and what to write instead. `where` names the text.

    >>> from evenhand.experiments.experiment import Variant
    >>> load_yaml_strict("{name: trees, version: 1.1.0, wieght: 20}", Variant)
    Traceback (most recent call last):
    evenhand.errors.InvalidConfiguration: configuration: wieght is unknown, did you mean weight?
    """
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader that also refuses doubled keys
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InvalidConfiguration(f"{where}{line}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InvalidConfiguration(f"{where} is not YAML: {error}") from None
    for path, number in not_finite(data):
        raise InvalidConfiguration(f"{where}: {path} is {number}: write a finite number, or leave the key out")
    if unknown := list(_unknown(data, inspect.type_info(kind), "")):
        raise InvalidConfiguration(f"{where}: {'; '.join(unknown)}")
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise InvalidConfiguration(f"{where}: {_explained(str(error), data)}") from None


def checked(made: T, where: str = "") -> T:
    """What was made in Python, where msgspec looks at no bound, is checked as what is read; InvalidConfiguration."""
    try:
        return msgspec.convert(msgspec.to_builtins(made), type(made))
    except msgspec.ValidationError as error:
        said = str(error).replace("`", "").replace("Expected", "expected", 1)
        hint = ": names have letters, digits and . _ @ -" if "regex" in said else ""
        raise InvalidConfiguration(f"{where}{said}{hint}") from None


class _Loader(yaml.SafeLoader):
    """YAML takes the last of two equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[object] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem=f"{name} is given twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def _unknown(data: object, kind: inspect.Type, path: str) -> Iterator[str]:
    """Keys that the Structs within a type do not have, with their places."""
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for one in kinds:
        if isinstance(one, inspect.StructType) and isinstance(data, dict):
            known = {field.encode_name: field.type for field in one.fields}
            for key, value in data.items():
                place = f"{path}.{key}".lstrip(".")
                if key in known:
                    yield from _unknown(value, known[key], place)
                else:
                    yield f"{place} is unknown, {_hint(str(key), known)}"
        elif isinstance(one, inspect.DictType) and isinstance(data, dict):
            for key, value in data.items():
                yield from _unknown(value, one.value_type, f"{path}.{key}".lstrip("."))
        elif isinstance(one, inspect.ListType | inspect.VarTupleType) and isinstance(data, list):
            for i, value in enumerate(data):
                yield from _unknown(value, one.item_type, f"{path}[{i}]")


def _hint(word: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(word, names, 1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"


def _explained(said: str, data: Any) -> str:
    """What msgspec said, with the place first, and the traps of YAML named."""
    found = _PLACE.match(said)
    what, path = (found["what"], found["path"] or "") if found else (said, "")
    what = f"{what[:1].lower()}{what[1:]}".replace("`", "")
    for part in re.findall(r"[^.\[\]]+|\[\d+\]", path):
        try:
            data = data[int(part[1:-1])] if part.startswith("[") else data[part]
        except (KeyError, IndexError, TypeError):  # the path has a placeholder, such as [...] for any key
            return f"{path}: {what}"
    if what.startswith("expected str") and isinstance(data, int | float):
        what += f": put it in quotes, '{data}'"
    elif isinstance(data, str) and _NUMBER.fullmatch(data):
        what += f": YAML takes {data} for text, write it with a point, {float(data)!r}"
    return f"{path}: {what}" if path else what
