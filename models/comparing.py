"""Two versions on what neither of them has seen."""

import msgspec
import numpy as np

from evenhand.errors import EvenhandError
from evenhand.training.scores import Answers, Comparison, Scores, score
from evenhand.training.scores import compare as compare_forecasts
from models.base import FloatArray
from models.candles import Candles
from models.config import Endpoint
from models.lineage import endpoint_of
from models.store import ModelStore
from models.training import Table, make_table


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of both at step 1, and how much less squared error the second has, as a fraction of the first's."""

    one: str
    other: str
    from_ms: int
    rows: int
    scores: dict[str, Scores]
    improvement: Comparison

    def text(self) -> str:
        """Return it as lines for people."""
        lines = [f"{self.rows} candles that neither has seen, step 1"]
        for name, each in self.scores.items():
            accuracy = each.direction_accuracy
            lines.append(
                f"{name}: rmse {each.rmse:.6g}, mae {each.mae:.6g}, direction {accuracy.mean:.1%} "
                f"({accuracy.low:.1%} to {accuracy.high:.1%})"
            )
        gain = self.improvement.improvement
        verdict = "better" if gain.positive else "worse" if gain.negative else "not told apart from it"
        lines.append(
            f"{self.other} is {verdict}: {gain.mean:+.2%} of {self.one}'s squared error saved "
            f"({gain.low:+.2%} to {gain.high:+.2%})"
        )
        return "\n".join(lines)


def compare_versions(
    store: ModelStore, one: tuple[str, str], other: tuple[str, str], candles: Candles, declared: Endpoint | None
) -> Compared:
    """Let both forecast every candle from where both have stopped learning."""
    cards = [store.describe(*each) for each in (one, other)]
    if cards[0].signature.target != cards[1].signature.target:
        raise EvenhandError(f"{cards[0].signature.target} and {cards[1].signature.target} cannot be compared")
    stopped = max(max(card.description.trained_to or 0, card.description.origin.matured_to) for card in cards)
    tables = [make_table(candles, endpoint_of(card, declared)) for card in cards]
    times = np.intersect1d(tables[0].open_time, tables[1].open_time)
    times = times[times + candles.interval_ms >= stopped]
    outcomes = _at(tables[0], times).targets[:, 0] if len(times) else np.empty(0)
    known = np.isfinite(outcomes)
    if not known.any():
        raise EvenhandError(
            f"the candles hold nothing after {one[1]} and {other[1]} stopped learning: give newer ones with --data"
        )
    said: list[FloatArray] = [
        store.load(*each).forecast(np.ascontiguousarray(_at(table, times).rows[known]), 1)[:, 0]
        for each, table in zip((one, other), tables, strict=True)
    ]
    names = ["@".join(one), "@".join(other)]
    truth = outcomes[known]
    return Compared(
        one=names[0], other=names[1], from_ms=int(times[0]), rows=len(truth),
        scores={name: score(Answers(values), {}, truth, 1) for name, values in zip(names, said, strict=True)},
        improvement=compare_forecasts(said[1], said[0], truth, 1, names[0]),
    )  # fmt: skip


def _at(table: Table, times: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Table:
    """Only the rows of these times."""
    chosen = np.isin(table.open_time, times)
    return Table(table.open_time[chosen], table.rows[chosen], table.targets[chosen])
