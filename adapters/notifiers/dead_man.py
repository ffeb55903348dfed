"""The dead man's switch: a loop that stands still raises no alert of its own, so whoever tells alerts watches it.

Ticks reach every partition of `scored-predictions.v1` once a second where all agents before it work. A partition that
has not moved for too long, or a broker that cannot be asked, is silence.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from adapters.clock import now_ms
from adapters.errors import DependencyUnavailable
from adapters.kafka.log_reader import log_reader
from adapters.kafka.settings import KafkaSettings
from evenhand.alerts.alert import fingerprint
from evenhand.alerts.payload import iso
from evenhand.alerts.routing import DeadMansSwitch
from evenhand.codec import stable_id
from evenhand.events import Alert, AlertFired, AlertResolved
from evenhand.topics import SCORED

LABELS = {"alertname": "evenhand is silent", "severity": "critical", "source": "dead_mans_switch"}
log = logging.getLogger(__name__)


def alert(started_ms: int, now: int, after_s: float, *, over: bool) -> Alert:
    """That the loop is silent since `started_ms`, or no longer."""
    mark, status = fingerprint(LABELS), "resolved" if over else "firing"
    said = (
        "the loop is heard again" if over else f"nothing was heard of the loop for {after_s:g} s: see `evenhand status`"
    )
    kind = AlertResolved if over else AlertFired
    return kind(
        id=stable_id(mark, started_ms, status), time=now, key=mark, fingerprint=mark, labels=LABELS,
        status="resolved" if over else "firing", annotations={"summary": said}, startsAt=iso(started_ms),
        endsAt=iso(now) if over else "",
    )  # fmt: skip


Ends = Callable[[], Awaitable[dict[int, int]]]


def ends_of(settings: KafkaSettings) -> Ends:
    """Where the partitions end that every working agent moves."""

    async def ends() -> dict[int, int]:
        async with asyncio.timeout(20), log_reader(settings) as reader:
            return {place.partition: end for place, end in (await reader.ends(await reader.places(SCORED))).items()}

    return ends


async def watch(ends: Ends, after_s: float, tell: Callable[[Alert], Awaitable[None]]) -> None:
    """Look for ever, and tell of silence once and of its end once. A first sign of life may take as long."""
    switch = DeadMansSwitch(after_ms=round(after_s * 1000), heard_ms=_steady_ms())
    before: dict[int, int] = {}
    seen: dict[int, int] = {}
    since: int | None = None
    while True:
        await asyncio.sleep(min(10.0, after_s / 10))
        with contextlib.suppress(DependencyUnavailable, TimeoutError):
            found = await ends()
            for partition, end in found.items():
                if end != before.get(partition):
                    seen[partition] = _steady_ms()
            before = found
            if len(seen) == len(found):
                switch = switch.hear(min(seen.values()))
        if since is None and switch.is_silent(_steady_ms()):
            since = now_ms()
            log.warning("nothing was heard of the loop for %g s", after_s)
            await tell(alert(since, since, after_s, over=False))
        elif since is not None and not switch.is_silent(_steady_ms()):
            await tell(alert(since, now_ms(), after_s, over=True))
            since = None


def _steady_ms() -> int:
    return time.monotonic_ns() // 1_000_000
