"""Whether a change of a schema is backward compatible: what was accepted stays accepted, and means the same.

BACKWARD, in Confluent's words: closed(old) must be a subset of open(new), where closed means that an object has no
fields but the declared ones. (Comparing the open schemas would call every added optional field a break: an old payload
might have carried a field of that name with another type.) jsonsubschema decides the subsets of leaves and of
each object's and array's bounds; the walk down to them says where. Two more rules keep the meaning: no field goes
away, and no default changes.
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
RULES = ("oneOf", "if", "then", "else")
NOTES = {"$schema", "$id", "$defs", "title", "description"}
KNOWN = {
    *RULES, "type", "enum", "const", "anyOf", "default", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minLength", "maxLength", "pattern", "items", "prefixItems", "minItems", "maxItems", "properties",
    "required", "additionalProperties", "propertyNames", "minProperties", "maxProperties",
}  # fmt: skip


def compatible(old_schema: Schema, new_schema: Schema) -> list[str]:
    """Why the new schema is not backward compatible with the old one, one line a reason; none if it is.

    >>> compatible({"type": "integer", "maximum": 64}, {"type": "integer", "maximum": 32})
    ['$: maximum 64 became 32, and what was accepted no longer is']
    >>> compatible({"type": "integer", "maximum": 64}, {"type": "number"})
    []
    """
    old, new = (_inlined(schema, schema.get("$defs", {})) for schema in (old_schema, new_schema))
    return list(_compare(old, new, "$"))


def _compare(old: Schema, new: Schema, path: str) -> Iterator[str]:
    if old == new:
        return
    if strange := sorted((old.keys() | new.keys()) - KNOWN):
        yield f"{path}: cannot judge a change beside {', '.join(strange)}: teach schemas/compatibility.py"
        return
    if "default" in old and "default" in new and old["default"] != new["default"]:
        yield f"{path}: default {old['default']!r} became {new['default']!r}, which changes what events without it mean"
    for rule in RULES:
        if rule in new and new[rule] != old.get(rule):
            yield f"{path}: the rule {rule!r} is new or has changed"
    if "anyOf" in old or "anyOf" in new:
        for one in old.get("anyOf", [old]):
            same = [other for other in new.get("anyOf", [new]) if _kind(other) == _kind(one)]
            yield from _compare(_own(one), _own(same[0]), path) if len(same) == 1 else _leaf(one, new, path)
    elif _kind(old) == _kind(new) == "object":
        yield from _compare_objects(old, new, path)
    elif _kind(old) == _kind(new) == "array":
        yield from _compare_arrays(old, new, path)
    else:
        yield from _leaf(old, new, path)


def _compare_objects(old: Schema, new: Schema, path: str) -> Iterator[str]:
    before, now = old.get("properties", {}), new.get("properties", {})
    for name, schema in before.items():
        if name in now:
            yield from _compare(schema, now[name], f"{path}.{name}")
        else:
            yield f"{path}.{name}: the field is gone"
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{path}.{name}: the field {'became' if name in before else 'is new and'} required"
    values = [schema.get("additionalProperties", True) for schema in (old, new)]
    if all(isinstance(value, dict) for value in values):
        yield from _compare(values[0], values[1], f"{path}.*")
    elif values[0] != values[1] and values[1] is not True and not (before and isinstance(values[1], dict)):
        yield f"{path}: other fields were {values[0]!r} and are {values[1]!r}"
    if "propertyNames" in new:
        yield from _leaf(old.get("propertyNames", {}), new["propertyNames"], f"{path}.*", {"type": "string"})
    yield from _leaf(_bounds(old, "Properties"), _bounds(new, "Properties"), path, {"type": "object"})


def _compare_arrays(old: Schema, new: Schema, path: str) -> Iterator[str]:
    before, now = old.get("prefixItems", []), new.get("prefixItems", [])
    for position, schema in enumerate(before):
        if position < len(now):
            yield from _compare(schema, now[position], f"{path}[{position}]")
        else:
            yield f"{path}[{position}]: the place is gone"
    if bool(before) != bool(now):
        yield f"{path}: a list became a tuple, or a tuple a list"
    elif not before:
        yield from _compare(old.get("items", {}), new.get("items", {}), f"{path}[]")
    closed = {"maxItems": len(before)} if before else {}
    yield from _leaf({**closed, **_bounds(old, "Items")}, _bounds(new, "Items"), path, {"type": "array"})


def _leaf(old: Schema, new: Schema, path: str, both: Schema | None = None) -> Iterator[str]:
    """Ask jsonsubschema; what it cannot decide counts as a break."""
    from jsonsubschema import isSubschema  # noqa: PLC0415 - only a change needs it

    one, other = {**old, **(both or {})}, {**new, **(both or {})}
    if other.get("pattern", one.get("pattern")) != one.get("pattern"):
        yield f"{path}: {_difference(old, new)}, and which pattern takes more is not decided here"
        return
    one, other = ({key: value for key, value in schema.items() if key != "pattern"} for schema in (one, other))
    try:
        subset = isSubschema(_draft_4(one, closed=True), _draft_4(other, closed=False))
    except Exception as error:  # noqa: BLE001 - it raises anything on what it does not support
        yield f"{path}: {_difference(old, new)}, which jsonsubschema cannot judge: {str(error).splitlines()[0]}"
        return
    if subset is not True:
        yield f"{path}: {_difference(old, new)}, and what was accepted no longer is"


def _difference(old: Schema, new: Schema) -> str:
    keys = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    return ", ".join(
        f"enum lost {', '.join(map(repr, lost))}"
        if key == "enum" and (lost := [value for value in old.get(key, ()) if value not in new.get(key, ())])
        else f"{key} {old.get(key, 'nothing')} became {new.get(key, 'nothing')}"
        for key in keys
    )


def _bounds(schema: Schema, of: str) -> Schema:
    return {key: schema[key] for key in (f"min{of}", f"max{of}") if key in schema}


def _own(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "default"}


def _kind(schema: Schema) -> str:
    return str(schema.get("type") or {str: "string", int: "integer"}.get(type(schema.get("enum", [None])[0]), "any"))


def _inlined(schema: Any, parts: Schema) -> Any:
    """The schema with its references resolved and without titles and descriptions."""
    if isinstance(schema, list):
        return [_inlined(part, parts) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str):
        schema = {**parts[schema["$ref"].rsplit("/", 1)[1]], **{k: v for k, v in schema.items() if k != "$ref"}}
    found = {}
    for key, value in schema.items():
        if key == "properties":
            found[key] = {name: _inlined(part, parts) for name, part in value.items()}
        elif key not in NOTES:
            found[key] = value if key in {"default", "enum", "const"} else _inlined(value, parts)
    return found


def _draft_4(schema: Any, *, closed: bool) -> Any:
    """The dialect of jsonsubschema; `closed` forbids fields that are not declared."""
    if isinstance(schema, list):
        return [_draft_4(part, closed=closed) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            found[key] = {name: _draft_4(part, closed=closed) for name, part in value.items()}
        elif key in {"exclusiveMinimum", "exclusiveMaximum"}:
            bound = "minimum" if key == "exclusiveMinimum" else "maximum"
            found[bound], found[key] = value, True
        elif key == "prefixItems":
            found["items"] = _draft_4(value, closed=closed)
        elif key != "default" and not (key == "items" and "prefixItems" in schema):
            found[key] = value if key in {"enum", "const"} else _draft_4(value, closed=closed)
    if closed and "properties" in found:
        found.setdefault("additionalProperties", False)
    return found
