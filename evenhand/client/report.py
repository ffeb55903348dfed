"""The report of an experiment, from wherever its evidence is recorded."""

from typing import TYPE_CHECKING

import msgspec

from evenhand.codec import decoder
from evenhand.envelope import header
from evenhand.events import DecisionMade, EvidenceReported
from evenhand.experiments.report import Decided, Place, Report, report
from evenhand.topics import DECISIONS, EVIDENCE

if TYPE_CHECKING:
    from adapters.kafka.log_reader import LogReader
    from adapters.kafka.settings import KafkaSettings
    from adapters.recording import Recording


async def report_of(recording: "Recording", name: str) -> Report | None:
    """All that is known of an experiment; None before the first look at it."""
    evidence: list[EvidenceReported] = []
    decided: list[Decided] = []
    mark = msgspec.json.encode(name)
    async for record in recording.read([EVIDENCE, DECISIONS]):
        if not record.value or mark not in record.value:
            continue
        if record.topic == EVIDENCE:
            evidence.append(decoder(EvidenceReported).decode(record.value))
        else:
            places = msgspec.json.decode(header(record, "evidence") or b"[]", type=list[Place])
            decided.append(Decided(decoder(DecisionMade).decode(record.value), places))
    return report(name, evidence, decided)


async def report_from_topics(settings: "KafkaSettings", reader: "LogReader", name: str) -> Report | None:
    """That of an experiment of a running loop."""
    from adapters.recording import Topics

    return await report_of(Topics(settings, reader), name)
