"""The Shiryaev-Roberts e-detector over the bets of one or many features: what is won, since when, and the verdict.

Each block of events adds its allowance of false alarms to every bet, then multiplies by what the bet won:

    R <- (allowance + R) * exp(sum of logs),   M = mean over features of the mean over a feature's bets of R

and the alarm is M >= 1. If no bet wins on average, M minus the allowances so far is a supermartingale, so when M
first reaches 1 the allowances must on average have added up to 1: one false alarm in as many events (or in as much
time) as spend an allowance of 1. That holds at any stopping time and whatever the dependence between features,
as averages of e-values are e-values (Shin, Ramdas & Rinaldo, "E-detectors", 2023, arXiv:2203.03532).

R is kept as exp(logs) * exp(stakes): `logs`, sums of integers, and `stakes` = log sum of allowance * exp(-logs then).
Both are taken forward event by event and cannot depend on how events were batched. Where a bet's `logs` was least is
the likeliest moment of the change, and moments since then give the effect size.
"""

import numpy as np

from evenhand.drift.base import Finding, Floats, Ints, State
from evenhand.drift.book import SCALE, Book
from evenhand.drift.evidence import Evidence

NOTHING = -1e300  # log of no stake at all, in JSON too


class Wealth(State, frozen=True, kw_only=True):
    """All bets of all features, one after the other; `fed` counts each feature's events.

    `low_*` is what the sums were where a bet's `logs` was least. About 80 bytes a bet.
    """

    fed: tuple[int, ...]
    logs: tuple[int, ...]
    stakes: tuple[float, ...]
    moments: tuple[int, ...]
    low_logs: tuple[int, ...]
    low_fed: tuple[int, ...]
    low_moments: tuple[int, ...]
    log_statistic: float = NOTHING


class Ledger:
    """Books of several features side by side."""

    def __init__(self, names: tuple[str, ...], books: tuple[Book, ...], every: tuple[int, ...]) -> None:
        self.names, self.books, self.every = names, books, every
        self.tables = [book.table() for book in books]
        bets = [book.logs.shape[1] for book in books]
        self.ends = np.cumsum(bets)
        self.starts = self.ends - bets
        self.feature = np.repeat(np.arange(len(books)), bets)  # of each bet
        self.moment_ends = np.cumsum([len(book.causes) for book in books])
        self.moment_starts = self.moment_ends - [len(book.causes) for book in books]
        self.owner = np.concatenate(
            [start + book.owners for start, book in zip(self.moment_starts, books, strict=True)]
        )
        self.log_share = -np.log(np.repeat(bets, bets))
        self.share = np.exp(self.log_share) / len(books)

    def start(self) -> Wealth:
        """Before the first event."""
        features, bets, moments = len(self.books), len(self.feature), int(self.moment_ends[-1])
        none = (0,) * bets
        return Wealth(
            fed=(0,) * features, logs=none, stakes=(NOTHING,) * bets, moments=(0,) * moments,
            low_logs=none, low_fed=none, low_moments=none,
        )  # fmt: skip

    def absorb(self, wealth: Wealth, blocks: Evidence, allowances: Floats) -> Wealth:
        """The wealth after some blocks of evidence; it stops at the block that makes the alarm."""
        if wealth.alarm_at is not None or len(allowances) == 0:
            return wealth
        logs = np.vstack([np.array(wealth.logs, np.int64), blocks.logs]).cumsum(0)
        nats = logs * (1.0 / SCALE)
        stakes = np.log(allowances)[:, None] - nats[:-1]
        stakes[0] = np.logaddexp(stakes[0], wealth.stakes)
        np.logaddexp.accumulate(stakes, 0, out=stakes)
        wealths = nats[1:]
        wealths += stakes
        np.minimum(wealths, 700.0, out=wealths)
        np.exp(wealths, out=wealths)
        statistic = (wealths * self.share).sum(1)
        crossed = np.flatnonzero(statistic >= 1.0)
        last = int(crossed[0]) if len(crossed) else len(allowances) - 1
        seen = wealth.seen + int(blocks.rows[: last + 1].sum())
        fed = np.vstack([np.array(wealth.fed, np.int64), blocks.fed[: last + 1]]).cumsum(0)
        moments = np.vstack([np.array(wealth.moments, np.int64), blocks.moments[: last + 1]]).cumsum(0)
        low = np.array(wealth.low_logs, np.int64)
        place = logs[: last + 2].argmin(0)
        least = np.take_along_axis(logs, place[None], 0)[0]
        lower = least < low
        return Wealth(
            seen=seen,
            alarm_at=seen if len(crossed) else None,
            fed=_tuple(fed[-1]),
            logs=_tuple(logs[last + 1]),
            stakes=tuple(stakes[last].tolist()),
            moments=_tuple(moments[-1]),
            low_logs=_tuple(np.where(lower, least, low)),
            low_fed=_tuple(np.where(lower, fed[place, self.feature], wealth.low_fed)),
            low_moments=_tuple(np.where(lower, moments[place, self.owner], wealth.low_moments)),
            log_statistic=float(np.log(statistic[last])) if statistic[last] > 0 else NOTHING,
        )

    def findings(self, wealth: Wealth, most: int) -> tuple[Finding, ...]:
        """Features by their own statistic, the clearest first: what changed, how much, how long ago."""
        if wealth.seen == 0:
            return ()
        rich = np.array(wealth.stakes) + np.array(wealth.logs) / SCALE + self.log_share
        own = np.logaddexp.reduceat(rich, self.starts)
        found = []
        for feature in np.argsort(-own, kind="stable")[:most].tolist():
            start, end = int(self.starts[feature]), int(self.ends[feature])
            bet = start + int(rich[start:end].argmax())
            moment = int(self.owner[bet])
            since = wealth.fed[feature] - wealth.low_fed[bet]
            gained = (wealth.moments[moment] - wealth.low_moments[bet]) / SCALE
            found.append(
                Finding(
                    feature=self.names[feature],
                    cause=self.books[feature].causes[moment - int(self.moment_starts[feature])],
                    statistic=float(np.exp(min(own[feature], 700.0))),
                    effect_size=gained / since if since else 0.0,
                    events_ago=since * self.every[feature],
                )
            )
        return tuple(found)


def _tuple(values: Ints) -> tuple[int, ...]:
    return tuple(values.tolist())
