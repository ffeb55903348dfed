"""How far the experiments have come, as `evenhand status` says it: requests, clusters, and the date they end."""

from typing import TYPE_CHECKING, Any

from evenhand.cli.output import table, when

if TYPE_CHECKING:
    from adapters.kafka.log_reader import LogReader
    from evenhand.events import ControlChanged

_RECENT = 500  # records of each partition: the last posterior of every experiment is among them
DAY_MS = 86_400_000


async def progress(reader: "LogReader", holding: "dict[str, ControlChanged]") -> list[dict[str, Any]]:
    """A row for each challenger that runs, from its last posterior and the time since its experiment began."""
    from evenhand.codec import decoder
    from evenhand.events import PosteriorUpdated
    from evenhand.experiments.plan import MEAN_SIZE
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
    rows = []
    for name, event in sorted(latest.items()):
        held = running[name]
        passed_ms, experiment = event.time - held.time, held.served.experiment
        for challenger, of in event.variants.items():
            expected = None
            if of.planned_clusters and of.clusters and passed_ms > 0 and experiment is not None:
                least = experiment.rule.minimum_sample_size
                share = MEAN_SIZE if experiment.rule.early_stopping_enabled else 1.0
                left = max(0.0, max(share * of.planned_clusters, least) - of.clusters)
                expected = round(event.time + left * passed_ms / of.clusters)
            rows.append(
                {
                    "experiment": name, "challenger": challenger, "requests": of.exposures, "clusters": of.clusters,
                    "planned": of.planned_clusters, "expected": expected,
                    "requests_per_day": of.exposures / passed_ms * DAY_MS if passed_ms > 0 else None,
                }
            )  # fmt: skip
    return rows


def text(rows: list[dict[str, Any]]) -> str:
    """The rows for people."""
    return table(
        ["experiment", "challenger", "requests", "a day", "clusters", "planned", "expected end"],
        [
            [
                row["experiment"], row["challenger"], row["requests"], row["requests_per_day"], row["clusters"],
                row["planned"], when(row["expected"]),
            ]
            for row in rows
        ],
    )  # fmt: skip
