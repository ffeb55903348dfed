"""Hypothesis strategies for every event, made from the types that msgspec sees."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from evenhand.events import MetricObserved, OutcomeObserved
from evenhand.experiments.experiment import Experiment, Variant
from evenhand.finite import LARGEST

SAFE = 2**53
_SIZES = st.floats(-LARGEST, LARGEST)


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0912 - one a kind
    """Values of a type, within its constraints."""
    match kind:
        case inspect.Metadata():
            return values(kind.type)
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            return st.integers(-SAFE if kind.ge is None else kind.ge, SAFE if kind.le is None else kind.le)
        case inspect.FloatType():
            low = kind.ge if kind.ge is not None else kind.gt
            return st.floats(
                low, kind.le if kind.lt is None else kind.lt, allow_nan=False, allow_infinity=False,
                exclude_min=kind.gt is not None, exclude_max=kind.lt is not None,
            )  # fmt: skip
        case inspect.StrType(pattern=str() as pattern):
            return st.from_regex(pattern, fullmatch=True).filter(lambda text: len(text) <= (kind.max_length or SAFE))
        case inspect.StrType():
            text = st.characters(exclude_categories=["Cs"])
            return st.text(text, min_size=kind.min_length or 0, max_size=min(kind.max_length or 20, 20))
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.UnionType():
            return st.one_of([values(one) for one in kind.types])
        case inspect.ListType() | inspect.VarTupleType():
            many = st.lists(values(kind.item_type), min_size=kind.min_length or 0, max_size=4)
            return many if isinstance(kind, inspect.ListType) else many.map(tuple)
        case inspect.TupleType():
            return st.tuples(*[values(one) for one in kind.item_types])
        case inspect.DictType():
            key, value = values(kind.key_type), values(kind.value_type)
            return st.dictionaries(key, value, min_size=kind.min_length or 0, max_size=3)
        case inspect.StructType():
            return structs(kind.cls)
        case _:
            raise TypeError(f"no strategy for {kind}")


def structs(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Instances of a Struct; optional fields are given or left out."""
    if cls is Experiment:
        return experiments()
    kind = inspect.type_info(cls)
    assert isinstance(kind, inspect.StructType)
    if cls is OutcomeObserved:
        return _outcomes(kind)
    required = {field.name: values(field.type) for field in kind.fields if field.required}
    if cls is MetricObserved:
        required["value"] = _SIZES
    optional = {field.name: values(field.type) for field in kind.fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: cls(**fields))


def experiments() -> st.SearchStrategy[Experiment]:
    """Experiments of two or three variants, the first of which is the champion."""
    weights = st.lists(st.integers(1, 1_000_000), min_size=2, max_size=3)
    return weights.map(
        lambda shares: Experiment(
            name="trial",
            model="m",
            champion="v0",
            variants=tuple(
                Variant(name=f"v{number}", version=f"{number}.0.0", weight=share) for number, share in enumerate(shares)
            ),
        )
    )


def _outcomes(kind: inspect.StructType) -> st.SearchStrategy[OutcomeObserved]:
    fields = {field.name: field.type for field in kind.fields}
    common = {name: values(fields[name]) for name in ("id", "time", "key")} | {"value": _SIZES}
    by_time = {**common, "target_time": values(fields["time"])}
    by_request = {**common, "request_id": values(fields["id"])}
    return st.one_of(
        st.fixed_dictionaries(by_time), st.fixed_dictionaries(by_request, optional={"step": st.integers(1, 64)})
    ).map(lambda given: OutcomeObserved(**given))
