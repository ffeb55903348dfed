"""How far experiments have been judged, as their evidence and their decisions in the log say.

Not every epoch has a decision: a silence has one however long it is, and after the end of a trial there is none. So
a reader who waits for decisions needs the reports too: they say which epochs have data, and so which decisions come.
"""

from collections.abc import Iterable

import msgspec

from evenhand.codec import digest
from evenhand.events import DecisionMade, EvidenceReported
from evenhand.experiments.decision import TERMINAL
from evenhand.experiments.experiment import Experiment

END_OF_TIME = 1 << 62  # an epoch that never comes


class Subject:
    """One experiment: what was reported of it, and what was decided."""

    def __init__(self, experiment: Experiment, first_epoch: int, partitions: int) -> None:
        self.experiment, self.first_epoch, self._partitions = experiment, first_epoch, partitions
        self._next, self._is_silent, self._is_over = first_epoch, False, False
        self._reached: dict[int, int] = {}
        self._with_data: set[int] = set()
        self._decided: dict[int, DecisionMade] = {}
        self._stopped: set[str] = set()

    def report(self, event: EvidenceReported) -> None:
        """Take a report."""
        self._reached[event.partition] = max(event.last_epoch, self._reached.get(event.partition, event.last_epoch))
        if event.variants:
            self._with_data.add(event.last_epoch)
        self._go_on()

    def decide(self, event: DecisionMade) -> None:
        """Take a decision."""
        self._decided.setdefault(event.epochs[0], event)
        self._go_on()

    def _go_on(self) -> None:
        complete = min(self._reached.values()) if len(self._reached) == self._partitions else -1
        while self._next <= complete and not self._is_over:
            has_data = self._next in self._with_data
            if has_data or not self._is_silent:
                decision = self._decided.get(self._next)
                if decision is None:
                    return
                self._end(decision)
            self._is_silent = not has_data
            self._next += 1

    def _end(self, decision: DecisionMade) -> None:
        if decision.action in TERMINAL and decision.variant is not None:
            self._stopped.add(decision.variant)
            self._is_over = decision.action == "promote" or self._stopped >= set(self.experiment.challengers)

    @property
    def through(self) -> int:
        """The last epoch up to which everything has been decided."""
        return END_OF_TIME if self._is_over else self._next - 1

    @property
    def last_decided(self) -> int:
        """The greatest epoch that has a decision, whatever stands before it; -1 if there is none."""
        return max(self._decided, default=-1)


class Judgement:
    """All experiments of a log."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self.subjects: dict[str, Subject] = {}
        self._early: dict[str, list[DecisionMade]] = {}
        self._first: dict[str, tuple[DecisionMade, bytes]] = {}  # by id

    def hear_report(self, value: bytes) -> None:
        """Take a record of `evidence.v1`, in the order of its partition."""
        event = msgspec.json.decode(value, type=EvidenceReported)
        subject = self.subjects.get(event.subject)
        if subject is None:
            subject = self.subjects[event.subject] = Subject(event.experiment, event.first_epoch, self._partitions)
            for decision in self._early.pop(event.subject, ()):
                subject.decide(decision)
        subject.report(event)

    def hear_decision(self, value: bytes) -> None:
        """Take a record of `decisions.v1`; a repeat changes nothing."""
        event = msgspec.json.decode(value, type=DecisionMade)
        if event.id in self._first:
            return
        self._first[event.id] = event, value
        if event.subject in self.subjects:
            self.subjects[event.subject].decide(event)
        else:
            self._early.setdefault(event.subject, []).append(event)

    def through(self, subject: str) -> int:
        """The last epoch up to which a subject has been judged; -1 while nothing is known of it."""
        return self.subjects[subject].through if subject in self.subjects else -1

    def decisions(self) -> list[DecisionMade]:
        """What was decided, in the order of the decision log."""
        return [event for event, _ in self._log()]

    def log(self) -> list[bytes]:
        """The decision log: the first record of each id, in order of (epochs, id)."""
        return [value for _, value in self._log()]

    def _log(self) -> list[tuple[DecisionMade, bytes]]:
        return sorted(self._first.values(), key=lambda pair: (pair[0].epochs, pair[0].id))


def log_digest(log: Iterable[bytes]) -> str:
    """A digest over the bytes of a decision log.

    >>> log_digest([b"a", b"b"]) == log_digest([b"ab"])
    False
    """
    return digest(*log)
