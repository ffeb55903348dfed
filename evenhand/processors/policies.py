"""Under which policy each model is measured, and which version serves it in which epoch, as the controls say.

As with experiments (subjects.py): a policy begins with the first epoch after its control's time, and ends with the
last epoch that closed before the first copy, by its place in event time, of a control that has another. Which copy
came first changes nothing. By which rules alerts are made is no part of it: other rules hold from an epoch on, and
what is watched goes on.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec

from evenhand.codec import encode
from evenhand.epochs import first_epoch_after, last_closed_epoch
from evenhand.events import ControlChanged
from evenhand.monitoring import HostRules, Monitoring
from evenhand.processors.columns import number_of
from evenhand.processors.subjects import CONTROL_ROW, NEXT_ROW, Heard


class Policy:
    """One policy of one model: the controls that have it, in order, and the next epoch to close."""

    __slots__ = ("cluster_ms", "epoch_ms", "grace_ms", "heard", "model", "monitoring", "name", "next_epoch", "until_ms")

    def __init__(self, name: str, model: str, monitoring: Monitoring, next_epoch: int) -> None:
        self.name, self.model, self.monitoring, self.next_epoch = name, model, monitoring, next_epoch
        self.epoch_ms, self.grace_ms = monitoring.epoch_s * 1000, monitoring.grace_s * 1000
        self.cluster_ms = monitoring.cluster_s * 1000
        self.heard: list[Heard] = []
        self.until_ms: int | None = None

    def epoch_of(self, time_ms: int) -> int:
        """The epoch of an event time."""
        return time_ms // self.epoch_ms

    def last_closed(self, watermark: int) -> int:
        """The last epoch that may be closed at a watermark."""
        reached = watermark if self.until_ms is None else min(watermark, self.until_ms)
        return last_closed_epoch(reached, self.monitoring.epoch_s, self.monitoring.grace_s)

    def cluster(self, key: str, time: int, request: int) -> int:
        """The cluster of a request: a hash; its own where each request is one."""
        return number_of(f"{key}@{time // self.cluster_ms}") if self.cluster_ms else request

    @property
    def is_over(self) -> bool:
        """Whether all of its epochs are closed."""
        return self.until_ms is not None and self.last_closed(self.until_ms) < self.next_epoch

    def champion(self, epoch: int) -> str:
        """The version that serves in an epoch."""
        return self._holding(epoch).control.served.champion

    def rules(self, epoch: int) -> Monitoring:
        """The policy with the rules of alerts that hold in an epoch."""
        return self._holding(epoch).control.served.monitoring or self.monitoring

    def spans(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Epochs cut where other controls begin to hold."""
        begins = {
            max(
                first_epoch_after(each.control.time, self.monitoring.epoch_s),
                (each.seen_at - self.grace_ms) // self.epoch_ms,
            )
            for each in self.heard
        }
        cuts = sorted({first, last + 1, *(epoch for epoch in begins if first < epoch <= last)})
        yield from ((one, other - 1) for one, other in pairwise(cuts))

    def _holding(self, epoch: int) -> Heard:
        """The last control before an epoch that was in the log when it closed."""
        start = epoch * self.epoch_ms
        closes = start + self.epoch_ms + self.grace_ms
        holding = [each for each in self.heard if each.control.time <= start and each.seen_at < closes]
        return (holding or self.heard[:1])[-1]


class Policies:
    """The policies of all models, by name; `of_model` has the one that counts now."""

    def __init__(self) -> None:
        self.by_name: dict[str, Policy] = {}
        self.of_model: dict[str, list[Policy]] = {}
        self._heard: dict[str, Heard] = {}
        self.wants_features = False

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        reached: dict[str, int] = {}
        for key, value in rows:
            if key.startswith(CONTROL_ROW):
                heard = msgspec.json.decode(value, type=Heard)
                self._heard[heard.control.id] = heard
            elif key.startswith(NEXT_ROW):
                reached[key.removeprefix(NEXT_ROW).decode()] = int(value)
        self._derive()
        for name, next_epoch in reached.items():
            if name in self.by_name:
                self.by_name[name].next_epoch = next_epoch

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """A row for each control and each policy."""
        for heard in self._heard.values():
            yield CONTROL_ROW + heard.control.id.encode(), encode(heard)
        for name, policy in self.by_name.items():
            yield NEXT_ROW + name.encode(), b"%d" % policy.next_epoch

    def of_host(self, epoch: int) -> Monitoring:
        """How the machine is watched in one of its epochs: as the newest control before it says, of any model."""
        monitoring = Monitoring()
        start, epoch_ms = epoch * monitoring.epoch_s * 1000, monitoring.epoch_s * 1000
        closes = start + epoch_ms + monitoring.grace_s * 1000
        newest: tuple[tuple[int, str], HostRules] | None = None
        for heard in self._heard.values():
            rules = heard.control.served.monitoring and heard.control.served.monitoring.host
            age = heard.control.time, heard.control.id
            if rules and age[0] <= start and heard.seen_at < closes and (newest is None or age > newest[0]):
                newest = age, rules
        if newest is None:
            return monitoring
        return msgspec.structs.replace(monitoring, objectives=newest[1].objectives, alerts=newest[1].alerts)

    def hear(self, control: ControlChanged, seen_at: int) -> dict[bytes, bytes | None]:
        """Take a copy of a control; the rows that changed."""
        held = self._heard.get(control.id)
        if held is not None and held.seen_at <= seen_at:
            return {}
        heard = self._heard[control.id] = Heard(msgspec.structs.replace(control, source=""), seen_at)
        self._derive()
        return {CONTROL_ROW + control.id.encode(): encode(heard)}

    def _derive(self) -> None:
        by_age = sorted(self._heard.values(), key=lambda heard: (heard.control.time, heard.control.id))
        current: dict[str, Policy] = {}
        self.wants_features = any(
            heard.control.served.monitoring and heard.control.served.monitoring.drift for heard in by_age
        )
        for heard in by_age:
            model, monitoring = heard.control.model, heard.control.served.monitoring or Monitoring()
            policy = current.get(model)
            if policy is not None and _watched_alike(policy.monitoring, monitoring):
                policy.heard.append(heard)
                continue
            name = f"{model}@{heard.control.id}"
            known = self.by_name.get(name)
            if known is None:
                first = first_epoch_after(heard.control.time, monitoring.epoch_s)
                known = self.by_name[name] = Policy(name, model, monitoring, first)
                self.of_model.setdefault(model, []).append(known)
            known.heard, known.until_ms = [heard], None
            if policy is not None:
                policy.until_ms = heard.seen_at
            current[model] = known


def _watched_alike(one: Monitoring, other: Monitoring) -> bool:
    """Whether both differ in nothing but the rules of alerts."""
    return msgspec.structs.replace(one, alerts=None, host=None) == msgspec.structs.replace(
        other, alerts=None, host=None
    )
