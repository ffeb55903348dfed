"""What a broker can do. Code asks for a capability, never for a broker's name.

`tests/contracts/test_brokers.py` measures each of these on a running broker and asserts that what is declared here
is true.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from adapters.errors import InvalidSetting
from adapters.kafka import wire

VARIABLE = "EVENHAND_BROKER_LACKS"


@dataclass(frozen=True)
class Capabilities:
    """One flag per thing that some broker cannot do."""

    idempotent_producer: bool = True
    transactions: bool = True
    delete_records: bool = True
    time_lookup: bool = True
    """A look-up by time gives the first record that is not older, or none."""
    end_offsets_exact: bool = True
    """The latest offset is the offset of the next record. Without it, read the high watermark of a fetch."""
    gapless_fetch: bool = True
    """A fetch that shows a record has shown all before it, whoever writes at the same time. Else see `gapless`."""
    topic_configs: bool = True
    """Settings given with a new topic can be read back (whether they hold, the next three say)."""
    size_limit: bool = True
    """A record batch over max.message.bytes is refused."""
    log_append_time: bool = True
    """With message.timestamp.type=LogAppendTime the broker stamps records itself."""
    compaction: bool = True
    """Old rows of a compacted topic go away."""
    durable: bool = True
    """Records survive a restart of the broker."""

    def lacking(self) -> tuple[str, ...]:
        """Names of what is missing."""
        return tuple(name for name, has in asdict(self).items() if not has)

    def environment(self) -> dict[str, str]:
        """What tells child processes about this broker, so that they need not ask it."""
        return {VARIABLE: ",".join(self.lacking()) or "nothing"}


EVERYTHING = Capabilities()
"""Apache Kafka 4."""

EMBEDDED = Capabilities(
    idempotent_producer=False,
    transactions=False,
    delete_records=False,
    time_lookup=False,
    end_offsets_exact=False,
    gapless_fetch=False,
    size_limit=False,
    log_append_time=False,
    compaction=False,
    durable=False,
)
"""The embedded broker."""

_OFFSET_FOR_LEADER_EPOCH = 23
_ADD_PARTITIONS_TO_TXN = 24
_TXN_OFFSET_COMMIT = 28
_WRITE_TXN_MARKERS = 27
_DELETE_RECORDS = 21


def declared(environment: Mapping[str, str] = os.environ) -> Capabilities | None:
    """What EVENHAND_BROKER_LACKS says, a comma list of names of `Capabilities`, or None if it is not set."""
    text = environment.get(VARIABLE)
    if text is None:
        return None
    names = {name.strip() for name in text.split(",")} - {"", "nothing"}
    if unknown := names - set(asdict(EVERYTHING)):
        raise InvalidSetting(
            f"{VARIABLE} names {', '.join(sorted(unknown))}; it may name {', '.join(asdict(EVERYTHING))}, or nothing"
        )
    return replace(EVERYTHING, **dict.fromkeys(names, False))


def from_apis(keys: frozenset[int]) -> Capabilities:
    """Capabilities that follow from the requests which a broker knows.

    A broker may know a request and still not do what it asks (the embedded one takes InitProducerId). Every Apache
    Kafka since 0.11 has OffsetForLeaderEpoch; what lacks it is no full broker, and everything that the embedded one
    lacks is taken as missing: a missing capability costs speed or a check, a wrongly assumed one costs records.
    """
    if _OFFSET_FOR_LEADER_EPOCH not in keys:
        return EMBEDDED
    return replace(
        EVERYTHING,
        transactions=_ADD_PARTITIONS_TO_TXN in keys and _TXN_OFFSET_COMMIT in keys,
        delete_records=_DELETE_RECORDS in keys,
    )


def probe(bootstrap: str, *, timeout_s: float = 5.0) -> Capabilities:
    """Ask the first broker of a plain-text `bootstrap` list that answers; what EVENHAND_BROKER_LACKS says goes first.

    Brokers behind SASL or TLS are not asked: only Apache Kafka and its likes have those.
    """
    told = declared()
    if told is not None:
        return told
    for host, port in wire.addresses(bootstrap):
        try:
            return from_apis(wire.api_keys(host, port, timeout_s=timeout_s))
        except OSError:
            continue
    return EVERYTHING
