"""What stands between the events of a topic: ticks and controls."""

from evenhand.events.event import Event, Model, Text
from evenhand.events.told import Served


class Ticked(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Event time has reached `time`. `source` is the partition, or the agent, that says so."""

    source: str = ""


class ControlChanged(Event, frozen=True, kw_only=True, omit_defaults=True):
    """From its place in the log on, `served` holds for `model`.

    `ended` names the experiment that this control ends, and `cause` the command or decision that led to it.
    """

    model: Model
    served: Served
    digest: Text
    cause: Text
    ended: str | None = None
    reason: str = ""
    source: str = ""
