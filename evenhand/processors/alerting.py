"""Service levels, drift, decisions and commands to alerts, and to whom they are told."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from evenhand.alerts.desk import Alerts, Desk, hear, judge, obey
from evenhand.alerts.paging import Told
from evenhand.alerts.policy import AlertPolicy
from evenhand.codec import decode, decoder, encode
from evenhand.envelope import cloud_headers
from evenhand.errors import InvalidEvent
from evenhand.events import (
    CommandGiven,
    ComplianceReported,
    DecisionMade,
    DriftCleared,
    DriftDetected,
    DriftJudged,
    ServiceLevelReported,
)
from evenhand.partitioning import partition_of
from evenhand.processors.base import Output, Processor, Record, Row
from evenhand.processors.causes_in_order import CausesInOrder
from evenhand.topics import ALERTS, COMMANDS, DECISIONS, DRIFT_SIGNALS, NOTIFICATIONS, SERVICE_LEVELS

SOURCE = "/evenhand/alerting"
DESK_ROW, POLICY_ROW = b"d/", b"p/"


class Alerting(Processor):
    """The alerts of the models whose key is in its partition.

    Causes are judged in the order of event time, whichever topic is read first. A command is obeyed when it comes.
    """

    name = "alerting"
    reads = (SERVICE_LEVELS, DRIFT_SIGNALS, DECISIONS, COMMANDS)

    def __init__(self, partition: int, partitions: int) -> None:
        super().__init__(partition, partitions)
        self.desks: dict[str, Desk] = {}
        self.policies: dict[str, AlertPolicy] = {}
        self.causes = CausesInOrder()
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {
            SERVICE_LEVELS: decoder(ServiceLevelReported, ComplianceReported),
            DRIFT_SIGNALS: decoder(DriftDetected, DriftCleared, DriftJudged),
            DECISIONS: decoder(DecisionMade),
        }

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        every = list(rows)
        self.causes.load(every)
        for key, value in every:
            kind, rest = key[:2], key[2:].decode()
            if kind == DESK_ROW:
                self.desks[rest] = msgspec.json.decode(value, type=Desk)
            elif kind == POLICY_ROW:
                self.policies[rest] = msgspec.json.decode(value, type=AlertPolicy)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.causes.rows()
        for model, desk in self.desks.items():
            yield DESK_ROW + model.encode(), msgspec.json.encode(desk)
        for model, policy in self.policies.items():
            yield POLICY_ROW + model.encode(), msgspec.json.encode(policy)

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        output, before = Output(), dict(self.desks)
        for record in records:
            event = self._event(topic, record)
            if isinstance(event, CommandGiven):
                desk, policy = self._of(event.model)
                self._say(*obey(desk, policy, event), output)
            elif event is not None:
                self.causes.take(event, record.offset)
        for event in self.causes.due(output):
            self._turn(event, output)
        for model, desk in self.desks.items():
            if before.get(model) is not desk:
                output.rows[DESK_ROW + model.encode()] = msgspec.json.encode(desk)
        return output

    def _event(self, topic: str, record: Record) -> Any:
        """What concerns alerts in this partition; None for the rest. What is no command is control's to complain of."""
        if topic != COMMANDS:
            event = self._decoders[topic].decode(record.value or b"")
            quiet = isinstance(event, ComplianceReported) or (
                isinstance(event, DecisionMade) and event.action not in {"stop_harm", "abort"}
            )
            return None if quiet else event
        try:
            command: CommandGiven = decode(topic, record.value)
        except InvalidEvent:
            return None
        mine = partition_of(command.model, self.partitions) == self.partition
        return command if mine and command.command in {"acknowledge", "silence"} else None

    def _of(self, model: str) -> tuple[Desk, AlertPolicy]:
        return self.desks.get(model) or Desk(model=model), self.policies.get(model, AlertPolicy())

    def _turn(self, event: Any, output: Output) -> None:
        if isinstance(event, ServiceLevelReported):
            self._take_policy(event, output)
            if event.model in self.policies:
                self._say(*judge(*self._of(event.model), event), output)
        else:
            self._say(*hear(*self._of(event.model), event), output)

    def _take_policy(self, event: ServiceLevelReported, output: Output) -> None:
        if event.alerts is not None and self.policies.get(event.model) != event.alerts:
            self.policies[event.model] = event.alerts
            output.rows[POLICY_ROW + event.model.encode()] = msgspec.json.encode(event.alerts)

    def _say(self, desk: Desk, alerts: Alerts, routed: Told, output: Output) -> None:
        self.desks[desk.model] = desk
        for topic, events in ((ALERTS, alerts), (NOTIFICATIONS, routed)):
            for event in events:
                headers = cloud_headers(type(event).__name__, event.id, SOURCE, event.time)
                output.send(topic, self.partition, Row(event.key.encode(), encode(event), headers))
