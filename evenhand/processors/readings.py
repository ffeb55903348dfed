"""Readings that users and workers report (MetricObserved), by epoch: means and largest values for the reports.

Those of a served model belong to its policy. Those with a key that begins with `_` (`_host`) are of no model: they all
lie in one partition, which reports them alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from evenhand.codec import decoder, stable_id
from evenhand.envelope import NEVER, integer_header
from evenhand.epochs import delay_ms
from evenhand.events import EpochMeasured, MetricObserved, OutcomeObserved, Ticked, VersionMeasured
from evenhand.metrics.gauge import Gauge
from evenhand.monitoring import Monitoring
from evenhand.processors.base import Record
from evenhand.processors.columns import as_sums, number_of
from evenhand.processors.policies import Policies, Policy

READINGS_ROW, ALONE_ROW = b"r/", b"a/"
MOST = 500  # names of an epoch, those of the least hashes: a report must fit in a record, whatever users call them
Reading = tuple[str, str, float]  # id, name, value


class Readings:
    """Readings of open epochs, by policy."""

    def __init__(self) -> None:
        self.alone: dict[str, Policy] = {}
        self._held: dict[tuple[str, int], dict[str, tuple[str, float]]] = defaultdict(dict)
        self._rows: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        self._fresh: dict[tuple[str, int], list[Reading]] = defaultdict(list)
        self._row = 0
        self._decoder = decoder(MetricObserved, Ticked, OutcomeObserved)

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        for key, value in rows:
            if key.startswith(ALONE_ROW):
                self._alone(key.removeprefix(ALONE_ROW).decode()).next_epoch = int(value)
            elif key.startswith(READINGS_ROW):
                name, epoch, number = key.removeprefix(READINGS_ROW).decode().rsplit("/", 2)
                self._row = max(self._row, int(number) + 1)
                self._add((name, int(epoch)), key, msgspec.msgpack.decode(value, type=list[Reading]))

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All that is remembered."""
        for name, policy in self.alone.items():
            yield ALONE_ROW + name.encode(), b"%d" % policy.next_epoch
        for of, keys in self._rows.items():
            readings = [(id_, *reading) for id_, reading in self._held[of].items()]
            for i, key in enumerate(keys):
                yield key, msgspec.msgpack.encode(readings[i :: len(keys)])

    def _alone(self, name: str) -> Policy:
        return self.alone.setdefault(name, Policy(name, name, Monitoring(), 0))

    def take(self, record: Record, policies: Policies) -> Ticked | None:
        """Take a record of observations; a tick is given back."""
        value = record.value or b""
        if b'"Ticked"' not in value and b'"MetricObserved"' not in value:
            return None
        event = self._decoder.decode(value)
        if isinstance(event, Ticked):
            return event
        if isinstance(event, MetricObserved):
            seen_at = integer_header(record, "seen_at", NEVER)
            mine = policies.of_model.get(event.model or "", [])
            for policy in mine or ([self._alone(event.key)] if event.key.startswith("_") else []):
                epoch, grace_ms = policy.epoch_of(event.time), policy.monitoring.grace_s * 1000
                if epoch >= policy.next_epoch and not policy.is_over and delay_ms(seen_at, event.time) <= grace_ms:
                    self._fresh[policy.name, epoch].append((event.id, event.name, event.value))
        return None

    def keep(self) -> dict[bytes, bytes | None]:
        """Keep what was taken since the last call; the rows that changed."""
        changed: dict[bytes, bytes | None] = {}
        for of, readings in self._fresh.items():
            key = READINGS_ROW + f"{of[0]}/{of[1]}/{self._row}".encode()
            self._row += 1
            changed[key] = msgspec.msgpack.encode(readings)
            self._add(of, key, readings)
        self._fresh.clear()
        return changed

    def _add(self, of: tuple[str, int], key: bytes, readings: list[Reading]) -> None:
        held = self._held[of]
        for id_, name, value in readings:
            held[id_] = min(held.get(id_, (name, value)), (name, value))
        self._rows[of].append(key)

    def epochs(self, name: str, last: int) -> set[int]:
        """Epochs of a policy, up to the last, that have readings."""
        return {epoch for of, epoch in self._held if of == name and epoch <= last}

    def told(self, name: str, epoch: int, rows: dict[bytes, bytes | None]) -> dict[str, Gauge]:
        """The readings of an epoch by name; they are forgotten."""
        by_name: dict[str, list[float]] = defaultdict(list)
        for _, (reading, value) in sorted(self._held.pop((name, epoch), {}).items()):
            by_name[reading].append(value)
        rows.update(dict.fromkeys(self._rows.pop((name, epoch), ())))
        kept = sorted(by_name, key=number_of)[:MOST] if len(by_name) > MOST else by_name
        return {each: Gauge().add(np.array(by_name[each])) for each in sorted(kept)}

    def close(
        self, watermark: int, partition: int, policies: Policies, rows: dict[bytes, bytes | None]
    ) -> Iterator[EpochMeasured]:
        """Reports of the readings that are of no model."""
        for name, policy in self.alone.items():
            last, monitoring = policy.last_closed(watermark), policy.monitoring
            if last < policy.next_epoch:
                continue
            for epoch in sorted(self.epochs(name, last)):
                sums = as_sums({f"gauge/{each}": gauge for each, gauge in self.told(name, epoch, rows).items()})
                yield EpochMeasured(
                    id=stable_id("measured", name, partition, epoch, epoch),
                    time=(epoch + 1) * monitoring.epoch_s * 1000, key=name, model=name, subject=name,
                    partition=partition, first_epoch=epoch, last_epoch=epoch, epoch_s=monitoring.epoch_s, champion="-",
                    monitoring=policies.of_host(epoch), versions={"": VersionMeasured(sketches=sums)}, is_alone=True,
                )  # fmt: skip
            policy.next_epoch = last + 1
            rows[ALONE_ROW + name.encode()] = b"%d" % policy.next_epoch

    def forget(self, name: str) -> dict[bytes, bytes | None]:
        """Forget a policy that is over; the rows that go."""
        gone: dict[bytes, bytes | None] = {}
        for of in [of for of in self._held if of[0] == name]:
            del self._held[of]
            gone.update(dict.fromkeys(self._rows.pop(of, ())))
        return gone
