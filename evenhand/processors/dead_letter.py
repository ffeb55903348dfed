"""A record that an entry agent could not take, as a row for the dead letters: one each, the same bytes each time."""

import base64

from evenhand.codec import digest, encode, stable_id
from evenhand.envelope import cloud_headers
from evenhand.events import FIRST_MS, LAST_MS, DeadLettered
from evenhand.processors.base import Record, Row

KEPT_BYTES = 64 * 1024


def dead_letter(topic: str, partition: int, record: Record, reason: str) -> Row:
    """The dead letter of a record, with its place, its reason, its digest and its first 64 KiB."""
    value = record.value or b""
    key = (record.key or b"").decode(errors="replace")[:256] or "_none"
    text, encoded = "", ""
    try:
        text = value[:KEPT_BYTES].decode()
    except UnicodeDecodeError:
        encoded = base64.b64encode(value[:KEPT_BYTES]).decode()
    event = DeadLettered(
        id=stable_id("dead", topic, partition, record.offset),
        time=min(max(FIRST_MS, record.timestamp), LAST_MS),
        key=key,
        topic=topic,
        partition=partition,
        offset=record.offset,
        reason=reason,
        length=len(value),
        digest=digest(value),
        payload=text,
        payload_base64=encoded,
    )
    headers = cloud_headers("DeadLettered", event.id, "/evenhand/dead-letters", event.time)
    return Row(key.encode(), encode(event), headers)
