"""How patient the transport is, and how much it takes at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from adapters.errors import InvalidSetting

MAX_RECORD_BATCH_BYTES = 1_000_000  # below the 1,048,588 that topics take


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Each field is read from EVENHAND_ and its name in capitals. Times are in seconds."""

    session_timeout_s: float = 10.0
    """After so long without a heartbeat the group gives a worker's partitions away."""
    rebalance_timeout_s: float = 20.0
    """So long the group waits for its members in a rebalance."""
    revoke_timeout_s: float = 5.0
    """So long batches in work may take to finish in a rebalance; then they are fenced."""
    commit_interval_s: float = 0.5
    request_timeout_s: float = 30.0
    """Of one request to the broker, and of a send with its repeats."""
    send_timeout_s: float = 60.0
    """Of a send with all that it waits for; then the process ends."""
    load_timeout_s: float = 30.0
    """Without any progress in loading a state; then the process ends."""
    stop_timeout_s: float = 8.0
    """After a request to stop; then the process ends."""
    stall_timeout_s: float = 60.0
    """Behind and without a commit, or outside the group; then the process ends."""
    loop_timeout_s: float = 10.0
    """The event loop stands still; then the process ends."""
    fetch_wait_s: float = 0.02
    """A fetch waits so long for records. Records that arrive meanwhile are answered at once, but a partition whose
    records were just taken joins only the next fetch: so this bounds the latency at low traffic."""
    max_batch_bytes: int = MAX_RECORD_BATCH_BYTES

    def __post_init__(self) -> None:
        if self.session_timeout_s > self.request_timeout_s:
            raise InvalidSetting(
                "EVENHAND_SESSION_TIMEOUT_S is longer than EVENHAND_REQUEST_TIMEOUT_S: make it shorter"
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the variables of all fields."""
        given: dict[str, Any] = {}
        for field in fields(cls):
            variable = f"EVENHAND_{field.name.upper()}"
            if text := environment.get(variable, "").strip():
                try:
                    given[field.name] = int(text) if field.name == "max_batch_bytes" else float(text)
                except ValueError as error:
                    raise InvalidSetting(f"{variable}={text} is not a number") from error
                if given[field.name] <= 0:
                    raise InvalidSetting(f"{variable}={text}: write a number above 0")
        return cls(**given)
