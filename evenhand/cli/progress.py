"""How far the experiments have come, as `evenhand status` says it: requests, clusters, and the date they end."""

from typing import TYPE_CHECKING, Any

from evenhand.cli.output import table, when

if TYPE_CHECKING:
    from adapters.kafka.log_reader import LogReader
    from evenhand.events import ControlChanged, PosteriorUpdated
    from evenhand.experiments.experiment import Rule

_RECENT = 500  # records of each partition: the last posterior of every experiment is among them
DAY_MS = 86_400_000


async def progress(reader: "LogReader", holding: "dict[str, ControlChanged]") -> list[dict[str, Any]]:
    """A row for each challenger that runs, from its last posterior and the time since its experiment began."""
    from evenhand.codec import decoder
    from evenhand.events import PosteriorUpdated
    from evenhand.topics import POSTERIORS

    running = {
        held.served.experiment.name: held for held in holding.values() if held.served.experiment is not None
    }  # fmt: skip
    if not running:
        return []
    places = await reader.places(POSTERIORS)
    begins, ends = await reader.beginnings(places), await reader.ends(places)
    latest: dict[str, PosteriorUpdated] = {}
    async for record in reader.read({at: max(begins[at], ends[at] - _RECENT) for at in places}, ends):
        event = decoder(PosteriorUpdated).decode(record.value or b"")
        if event.subject in running and (event.subject not in latest or event.epoch >= latest[event.subject].epoch):
            latest[event.subject] = event
    rows: list[dict[str, Any]] = []
    for name, event in sorted(latest.items()):
        held = running[name]
        if held.served.experiment is not None:
            rows += rows_of(event, held.served.experiment.rule)
    return rows


def rows_of(event: "PosteriorUpdated", rule: "Rule") -> list[dict[str, Any]]:
    """What a posterior says of each challenger: so far, effectively, and when it ends at the traffic since it began."""
    from evenhand.experiments.plan import MEAN_SIZE

    passed_ms, rows = event.time - (event.began_ms or event.time), []
    for challenger, of in event.variants.items():
        expected = None
        if of.planned_clusters and of.clusters and passed_ms > 0:
            share = MEAN_SIZE if rule.early_stopping_enabled else 1.0
            left = max(0.0, max(share * of.planned_clusters, rule.minimum_sample_size) - of.clusters)
            expected = round(event.time + left * passed_ms / of.clusters)
        rows.append(
            {
                "experiment": event.subject, "challenger": challenger, "requests": of.exposures,
                "requests_per_day": of.exposures / passed_ms * DAY_MS if passed_ms > 0 else None,
                "clusters": of.clusters,
                "effective": of.clusters if of.effective_clusters is None else of.effective_clusters,
                "planned": of.planned_clusters, "expected": expected,
            }
        )  # fmt: skip
    return rows


def text(rows: list[dict[str, Any]]) -> str:
    """The rows for people."""
    return table(
        ["experiment", "challenger", "requests", "a day", "clusters", "effective", "planned", "expected end"],
        [
            [
                row["experiment"], row["challenger"], row["requests"], row["requests_per_day"], row["clusters"],
                row["effective"], row["planned"], when(row["expected"]),
            ]
            for row in rows
        ],
    )  # fmt: skip
