"""A rule: when a metric is worth an alert. Data, in `config/alerts.yaml`."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evenhand.slo.objective import COMPARE, Comparison

Severity = Literal["info", "warning", "critical"]
Seconds = Annotated[int, Meta(ge=0)]


class AlertRule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename={"for_s": "for"}
):
    """Fires where `metric` `comparison` `threshold` has held for `for` seconds of event time.

    `no_data` says what an epoch without a value is: it keeps the state, or is a breach. `annotations` should have a
    `runbook_url`. After a resolve the rule is silent for `cooldown_s`. More than `flaps` changes in an
    hour are flapping: the alert then stays firing until it has been quiet for an hour.
    """

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    metric: Annotated[str, Meta(min_length=1)]
    comparison: Comparison
    threshold: float
    unit: Annotated[str, Meta(min_length=1)]
    severity: Severity = "warning"
    channels: tuple[str, ...] = ("console",)
    window_s: Annotated[int, Meta(ge=1)] = 300
    for_s: Seconds = 0
    cooldown_s: Seconds = 0
    repeat_s: Annotated[int, Meta(ge=60)] = 14_400
    flaps: Annotated[int, Meta(ge=2)] = 6
    no_data: Literal["keep", "breach"] = "keep"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}

    def breached(self, value: float | None) -> bool | None:
        """Whether a value is one to be told of; None: there is nothing to be said.

        >>> AlertRule(name="slow", metric="p95_ms", comparison=">=", threshold=1000, unit="ms").breached(1000.0)
        True
        """
        if value is None or value != value:  # noqa: PLR0124 - NaN alone differs from itself
            return True if self.no_data == "breach" else None
        return bool(COMPARE[self.comparison](value, self.threshold))
