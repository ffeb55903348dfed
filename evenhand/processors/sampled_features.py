"""Features of a request as rows of a sample have them."""

import msgspec

from evenhand.monitoring import DriftRule

_features = msgspec.json.Decoder(list[float] | dict[str, float])


def features_of(raw: msgspec.Raw, rule: DriftRule) -> tuple[float, ...] | None:
    """Of a request's features those that are looked at; None where one is missing.

    >>> features_of(msgspec.Raw(b'{"b": 2, "a": 1}'), DriftRule(features=("a", "b")))
    (1.0, 2.0)
    """
    features = _features.decode(raw)
    if isinstance(features, list):
        if len(features) != len(rule.features):
            return None
        features = dict(zip(rule.features, features, strict=True)) if rule.only else features
    if isinstance(features, list):
        return tuple(features)
    try:
        return tuple([features[name] for name in rule.looked_at])
    except KeyError:
        return None
