"""What was measured, as numbers (`var/bench/loop.json`), as a table, and as `docs/benchmarks.md`.

`python -m tests.benchmarks.report` writes the document from the numbers of the last `make bench`.
"""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec
import psutil

from tests.benchmarks.run import Run

ROOT = Path(__file__).parents[2]
NUMBERS, DOCUMENT = Path("bench/loop.json"), ROOT / "docs" / "benchmarks.md"
BUSY_PERCENT = 25.0  # other load above that is said


class Pair(msgspec.Struct):
    """evenhand beside something else, in rounds of one run each. `ratio` is the median of the rounds' ratios."""

    what: str
    ours: list[Run]
    theirs: list[Run]
    goal: float | None = None

    @property
    def problem(self) -> str:
        """Why there is no ratio: the first that went wrong on either side."""
        return next((f"{run.contestant}: {run.problems[0]}" for run in (*self.theirs, *self.ours) if run.problems), "")

    @property
    def ratio(self) -> float | None:
        """How many times as fast, if every run finished with balanced books."""
        if self.problem or not self.ours:
            return None
        return median(ours.per_s / theirs.per_s for ours, theirs in zip(self.ours, self.theirs, strict=True))


class Numbers(msgspec.Struct):
    """What `loop.json` holds. A ratio is null where a side lost events or did not finish: see its runs' problems."""

    lifecycle_vs_faust: float | None
    lifecycle_vs_quix: float | None
    hop_vs_aiokafka: float | None
    all_agents_per_s: float | None
    worker_rss_mb: float | None
    machine: str
    broker: str
    pairs: list[Pair]
    scaling: list[Run]


def machine() -> str:
    """The machine's name for the reports: processor, how many, memory, system."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    memory_gb = psutil.virtual_memory().total / 1e9
    return f"{model}, {os.cpu_count()} processors, {memory_gb:.0f} GB, {platform.system()}, Python " + (
        platform.python_version()
    )


def numbers(broker: str, pairs: dict[str, Pair], scaling: list[Run]) -> Numbers:
    """Everything of one `make bench`."""
    ours = [run for run in pairs["all_quix"].ours if run.counts]
    return Numbers(
        lifecycle_vs_faust=pairs["faust"].ratio,
        lifecycle_vs_quix=pairs["quix"].ratio,
        hop_vs_aiokafka=pairs["hop"].ratio,
        all_agents_per_s=median(run.per_s for run in ours) if ours else None,
        worker_rss_mb=median(run.rss_mb for run in ours) if ours else None,
        machine=machine(),
        broker=broker,
        pairs=list(pairs.values()),
        scaling=scaling,
    )


def table(found: Numbers) -> str:
    """The comparison, in Markdown that is also plain text."""
    rows = [("pair", "evenhand", "the other", "ratio", "goal", "evenhand's memory", "the other's")]
    for pair in found.pairs:
        ratio = f"{pair.ratio:.1f}x" if pair.ratio is not None else "none"
        rows.append(
            (
                pair.what, _rate(pair.ours), _rate(pair.theirs), ratio, f">= {pair.goal:g}x" if pair.goal else "",
                _memory(pair.ours), _memory(pair.theirs),
            )
        )  # fmt: skip
    return _aligned(rows)


def notes(found: Numbers) -> list[str]:
    """What a reader must know beside the table."""
    said = [f"No ratio, {pair.what}: {pair.problem}." for pair in found.pairs if pair.problem]
    runs = [run for pair in found.pairs for run in (*pair.ours, *pair.theirs)] + found.scaling
    loads = [run.other_load_percent for run in runs]
    if loads and max(loads) > BUSY_PERCENT:
        said.append(
            f"Other work kept the machine up to {max(loads):.0f} % busy (median {median(loads):.0f} %) before runs "
            "began, so all rates are lower than on a quiet machine."
        )
    return said


def scaling(found: Numbers) -> str:
    """Throughput of evenhand as there is more to do."""
    rows = [("requests", "a second", "memory")]
    rows += [(f"{run.requests:,}", _rate([run]), _memory([run])) for run in found.scaling]
    return _aligned(rows)


def _rate(runs: list[Run]) -> str:
    if any(not run.counts for run in runs):
        return "did not finish"
    return f"{median(run.per_s for run in runs):,.0f}/s" if runs else ""


def _memory(runs: list[Run]) -> str:
    return f"{median(run.rss_mb for run in runs):.0f} MB" if runs else ""


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def document(found: Numbers) -> str:
    """`docs/benchmarks.md`."""
    rounds, requests = len(found.pairs[0].ours), found.pairs[0].ours[0].requests
    parts = [
        "# Benchmarks",
        (
            f"Measured by `make bench` on: {found.machine}. Broker: {found.broker}, on the same "
            f"machine. Each side is one worker process; a pair runs in turn, {rounds} rounds, and the ratio is the "
            "median of the rounds' ratios."
        ),
        table(found),
        *notes(found),
        (
            "**Lifecycle**: "
            f"{requests:,} requests over 500 series, two models on trial (ridge and LightGBM, both predict on every "
            "request), outcomes an hour later (one in fifty never, one in a hundred twice), joined, and summed into "
            "evidence. A rate counts requests whose whole lifecycle is finished, from the worker's first output to the "
            "last that is due. Every side gets the same records and must balance the same books: each prediction and "
            "each pair, and sums that numpy confirms to 1e-9. A side that loses something or does not finish has no "
            "rate. evenhand's worker runs the agents of the lifecycle "
            "([evenhand_pipeline.py](../tests/benchmarks/evenhand_pipeline.py)) there; **all agents** are the same "
            "records with everything that a worker has: measurements, reports, drift, service levels and alerts, for "
            "which the others have no counterpart."
        ),
        (
            "The others run with their best documented settings, which stand in "
            "[faust_pipeline.py](../tests/benchmarks/faust_pipeline.py) (models asked in batches) and "
            "[quix_pipeline.py](../tests/benchmarks/quix_pipeline.py). They do less: no late or contradicting "
            "outcomes, no epochs, no fencing, and stock Faust commits before its sends are acknowledged."
        ),
        (
            "**Hop**: records of 200 bytes from one topic to another, acknowledged by all replicas before they are "
            "committed, by an agent on evenhand's transport and by "
            "[a bare aiokafka loop](../tests/benchmarks/hop_aiokafka.py) with a future a record."
        ),
    ]
    if found.scaling:
        parts += ["## More events", "All agents of evenhand, one worker:", scaling(found)]
    return "\n\n".join(parts) + "\n"


def read(var: Path) -> Numbers:
    """The numbers of the last benchmark."""
    return msgspec.json.decode((var / NUMBERS).read_bytes(), type=Numbers)


def write(found: Numbers, var: Path) -> Path:
    """Keep the numbers."""
    path = var / NUMBERS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    return path


if __name__ == "__main__":
    DOCUMENT.write_text(document(read(ROOT / "var")))
