"""One hop: every record of a topic to another one, acknowledged, by evenhand and by a bare aiokafka loop."""

from evenhand.topics import EVIDENCE, PARTITIONS, REQUESTS
from tests.benchmarks.books import Books
from tests.benchmarks.contestants import Contestant
from tests.benchmarks.log import Seen
from tests.benchmarks.run import Place, Run, observe
from tests.benchmarks.workload import Rows

VALUE_BYTES = 200


def records(count: int) -> list[Rows]:
    """Records with values that say which they are, over all partitions."""
    rows: list[Rows] = [[] for _ in range(PARTITIONS)]
    for i in range(count):
        rows[i % PARTITIONS].append((b"key-%d" % (i % 500), b"%d|" % i + b"x" * (VALUE_BYTES - 1 - len(str(i)))))
    return rows


def check(count: int, seen: list[Seen]) -> Books:
    """Whether each record has arrived, and how often again."""
    first: dict[bytes | None, int] = {}
    for record in seen:
        first.setdefault(record.value, record.appended_ms)
    wanted = {value for rows in records(count) for _, value in rows}
    errors = []
    if missing := len(wanted - first.keys()):
        errors.append(f"{missing} of {count} records are missing")
    if strange := len(first.keys() - wanted):
        errors.append(f"{strange} records are no copies")
    return Books(len(first), 0, errors, len(seen) - len(first), max(first.values(), default=0))


async def run_hop(contestant: Contestant, count: int, place: Place, *, label: str, deadline_s: float) -> Run:
    """Let a contestant copy so many records."""
    result, books, first_ms, began = await observe(
        contestant, count, {REQUESTS: records(count)}, {EVIDENCE: count}, place, label=label, deadline_s=deadline_s,
        check=lambda seen: check(count, seen[EVIDENCE]),
    )  # fmt: skip
    result.conclude(first_ms, books.finished_ms, began)
    return result
