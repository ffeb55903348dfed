"""Which predictions in the log are whose."""

from typing import Any

from evenhand.events import PredictionMade


class Answers:
    """Per version and partition of `predictions.v1`: how many answers and shadows, their first and last offset."""

    def __init__(self, versions: set[tuple[str, str]]) -> None:
        self._versions = versions
        self._found: dict[tuple[str, str, int], dict[str, Any]] = {}

    def take(self, event: PredictionMade, partition: int, offset: int) -> None:
        """Count a prediction, and the shadows beside it."""
        for role, version in [("answers", event.version), *(("shadows", one.version) for one in event.shadows)]:
            if (event.model, version) in self._versions:
                row = self._found.setdefault(
                    (event.model, version, partition),
                    {"model": event.model, "version": version, "partition": partition, "answers": 0, "shadows": 0,
                     "first": offset, "last": offset},
                )  # fmt: skip
                row[role] += 1
                row["last"] = offset

    def rows(self) -> list[dict[str, Any]]:
        """What was found, in order."""
        return [self._found[of] for of in sorted(self._found)]


async def answered_by(versions: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """What these versions have answered in all that the log still has."""
    from evenhand.cli.loop import open_log
    from evenhand.codec import decoder
    from evenhand.events import ControlChanged, Ticked
    from evenhand.topics import PREDICTIONS

    events, answers = decoder(PredictionMade, Ticked, ControlChanged), Answers(versions)
    async with open_log() as (_, reader):
        places = await reader.places(PREDICTIONS)
        ends = await reader.ends(places)
        async for record in reader.read(await reader.beginnings(places), ends):
            event = events.decode(record.value or b"{}")
            if isinstance(event, PredictionMade):
                answers.take(event, record.partition, record.offset)
    return answers.rows()
