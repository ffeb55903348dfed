"""Which predictions in the log are whose."""

from typing import Any


async def answered_by(versions: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """Per version and partition of `predictions.v1`: how many answers and shadows, their first and last offset."""
    from evenhand.cli.loop import open_log
    from evenhand.codec import decoder
    from evenhand.events import ControlChanged, PredictionMade, Ticked
    from evenhand.topics import PREDICTIONS

    events = decoder(PredictionMade, Ticked, ControlChanged)
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    async with open_log() as (_, reader):
        places = await reader.places(PREDICTIONS)
        ends = await reader.ends(places)
        async for record in reader.read(await reader.beginnings(places), ends):
            event = events.decode(record.value or b"{}")
            if not isinstance(event, PredictionMade):
                continue
            whose = [("answers", event.version), *(("shadows", shadow.version) for shadow in event.shadows)]
            for role, version in whose:
                if (event.model, version) in versions:
                    of = (event.model, version, record.partition)
                    row = found.setdefault(
                        of, {**dict(zip(("model", "version", "partition"), of, strict=True)), "answers": 0,
                             "shadows": 0, "first": record.offset},
                    )  # fmt: skip
                    row[role] += 1
                    row["last"] = record.offset
    return [found[of] for of in sorted(found)]
