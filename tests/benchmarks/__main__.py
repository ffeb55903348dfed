"""`make bench`: the lifecycle beside stock Faust and Quix Streams, a hop beside aiokafka, a look beside gbstats."""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from adapters.kafka.broker import Broker, chosen_kind, start_broker
from tests.benchmarks import contestants, judge
from tests.benchmarks.arms import train
from tests.benchmarks.contestants import Contestant
from tests.benchmarks.hop import run_hop
from tests.benchmarks.report import DOCUMENT, ROOT, Pair, document, notes, numbers, scaling, table, write
from tests.benchmarks.run import Place, Run, run
from tests.benchmarks.workload import workload

GOALS = {"faust": 10.0, "quix": 3.0, "hop": 1.0}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    runs: int
    requests: int
    records: int  # of a hop
    scales: tuple[int, ...]  # requests
    deadline_s: float


FULL = Size(3, 60_000, 400_000, (20_000, 80_000, 320_000), 240.0)
QUICK = Size(1, 6_000, 50_000, (), 60.0)
One = Callable[[Contestant, str], Awaitable[Run]]


def main() -> int:
    """Measure and print; 1 if a side of evenhand's own failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, once: to see that it runs")
    parser.add_argument("--runs", type=int, help="rounds of each pair (default: 3)")
    parser.add_argument("--requests", type=int, help=f"of the lifecycle (default: {FULL.requests:,})")
    parser.add_argument("--faust", default="take", choices=("take", "buffered", "acked"), help="how stock Faust sends")
    parser.add_argument("--docs", action="store_true", help=f"write {DOCUMENT.relative_to(ROOT)} too")
    given = parser.parse_args()
    size = QUICK if given.quick else FULL
    size = Size(given.runs or size.runs, given.requests or size.requests, size.records, size.scales, size.deadline_s)
    var = ROOT / "var"
    print(judge.table(judge.measure()), flush=True)
    if chosen_kind() == "embedded":
        say("KAFKA_HOME is not set: this measures the embedded broker, which keeps everything in memory and is slower")
    broker = start_broker(var / "bench" / "broker")
    try:
        return asyncio.run(measure(broker, size, var, given.faust, docs=given.docs))
    finally:
        broker.stop()


async def measure(broker: Broker, size: Size, var: Path, faust: str, *, docs: bool) -> int:
    """Every pair, in rounds, then the sizes."""
    models = var / "bench" / "models"
    place, arms, label = Place(broker.bootstrap, var, models), train(models), f"b{int(time.time())}"
    work = workload(size.requests, arms)

    async def lifecycle(contestant: Contestant, name: str) -> Run:
        return await run(contestant, work, place, label=name, deadline_s=size.deadline_s)

    async def hop(contestant: Contestant, name: str) -> Run:
        return await run_hop(contestant, size.records, place, label=name, deadline_s=size.deadline_s)

    ours, whole = list[Run](), list[Run]()
    pairs = {
        "faust": Pair("lifecycle, beside stock Faust", ours, [], GOALS["faust"]),
        "quix": Pair("lifecycle, beside Quix Streams", ours, [], GOALS["quix"]),
        "all_faust": Pair("all agents, beside stock Faust", whole, []),
        "all_quix": Pair("all agents, beside Quix Streams", whole, []),
        "hop": Pair("one hop, beside bare aiokafka", [], [], GOALS["hop"]),
    }
    others = {"faust": contestants.faust(faust), "quix": contestants.quix(var)}
    for round_ in range(size.runs):
        ours.append(await told(lifecycle, contestants.evenhand_lifecycle(), f"{label}-{round_}"))
        whole.append(await told(lifecycle, contestants.evenhand(), f"{label}-{round_}"))
        for name, contestant in others.items():
            theirs = await told(lifecycle, contestant, f"{label}-{round_}")
            pairs[name].theirs.append(theirs)
            pairs[f"all_{name}"].theirs.append(theirs)
        pairs["hop"].ours.append(await told(hop, contestants.hop_evenhand(), f"{label}-{round_}"))
        pairs["hop"].theirs.append(await told(hop, contestants.hop_aiokafka(), f"{label}-{round_}"))
    grown: list[Run] = []
    for requests in size.scales:
        work = workload(requests, arms)
        grown.append(await told(lifecycle, contestants.evenhand(), f"{label}-of-{requests}"))
    found = numbers(broker.name, pairs, grown)
    say(f"\n{found.machine}; broker: {found.broker}")
    print(table(found), *notes(found), sep="\n")
    if grown:
        print(scaling(found))
    say(f"numbers: {write(found, var)}")
    if docs:
        DOCUMENT.write_text(document(found))
    return int(any(not one.counts for pair in pairs.values() for one in pair.ours))


async def told(one: One, contestant: Contestant, label: str) -> Run:
    """Run, and say how it went."""
    done = await one(contestant, label)
    outcome = (
        f"{done.per_s:,.0f}/s, {done.cpu_s:.1f} s of processor, {done.rss_mb:.0f} MB"
        if done.counts
        else (done.problems[0])
    )
    say(f"{label} {contestant.name}: {outcome} (load average {done.load_average:.1f})")
    return done


def say(text: str) -> None:
    """Progress goes to stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
