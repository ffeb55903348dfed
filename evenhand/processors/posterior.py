"""Reports to decisions: epochs are judged in order, each when all partitions have reported it, merged in order."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from evenhand.codec import decoder, digest, encode, stable_id
from evenhand.envelope import cloud_headers, header
from evenhand.events import DecisionMade, EvidenceReported, Phase, PosteriorUpdated, VariantEvidence
from evenhand.experiments.decision import TERMINAL, Verdict, decide
from evenhand.experiments.evidence import merge_phases, merge_variants
from evenhand.experiments.experiment import Experiment
from evenhand.experiments.past import prior_of
from evenhand.experiments.standing import Standing, absorb
from evenhand.processors.base import Output, Processor, Record, Row
from evenhand.topics import DECISIONS, EVIDENCE, POSTERIORS

SOURCE = "/evenhand/posterior"
TRIAL_ROW, REPORT_ROW = b"t/", b"r/"


class Report(msgspec.Struct, frozen=True, array_like=True):
    """One partition's evidence of an epoch, where that lies, and where the report lies."""

    variants: dict[str, VariantEvidence]
    digest: str
    places: list[tuple[str, int, int, int]]
    phases: dict[str, Phase] = {}


class Trial(msgspec.Struct):
    """A running experiment: what was merged so far, and how far each partition has reported."""

    experiment: Experiment
    next_epoch: int
    reached: dict[int, int] = {}
    standing: Standing = Standing()
    digest: str = ""
    is_silent: bool = False
    is_over: bool = False


class Posterior(Processor):
    """Judges the experiments of the models whose key is in its partition."""

    name = "posterior"
    reads = (EVIDENCE,)

    def __init__(self, partition: int, partitions: int) -> None:
        super().__init__(partition, partitions)
        self.trials: dict[str, Trial] = {}
        self.reports: dict[tuple[str, int, int], Report] = {}  # subject, epoch, partition
        self._decoder = decoder(EvidenceReported)

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        for key, value in rows:
            if key.startswith(TRIAL_ROW):
                self.trials[key.removeprefix(TRIAL_ROW).decode()] = msgspec.json.decode(value, type=Trial)
            else:
                subject, epoch, partition = key.removeprefix(REPORT_ROW).decode().rsplit("/", 2)
                report = msgspec.json.decode(value, type=Report)
                self.reports[subject, int(epoch), int(partition)] = report

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        for subject, trial in self.trials.items():
            yield TRIAL_ROW + subject.encode(), msgspec.json.encode(trial)
        for of, report in self.reports.items():
            yield _report_row(of), msgspec.json.encode(report)

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        output, touched = Output(), {}
        for record in records:
            event = self._decoder.decode(record.value or b"")
            trial = self.trials.get(event.subject)
            if trial is None:
                trial = self.trials[event.subject] = Trial(event.experiment, event.first_epoch)
            reached = trial.reached.get(event.partition, trial.next_epoch - 1)
            if event.last_epoch <= reached or trial.is_over:
                continue  # a repeat
            trial.reached[event.partition] = event.last_epoch
            touched[event.subject] = trial
            if event.variants:
                of = event.subject, event.last_epoch, event.partition
                places = msgspec.json.decode(header(record, "evidence") or b"[]")
                places.append([topic, self.partition, record.offset, record.offset])
                self.reports[of] = Report(event.variants, event.digest, [tuple(each) for each in places], event.phases)
                output.rows[_report_row(of)] = msgspec.json.encode(self.reports[of])
        # In order of event time, whatever a batch holds: what came before a trial is judged before it (`_past`).
        for subject, trial in sorted(touched.items(), key=lambda item: (*_place(item[1]), item[0])):
            self._judge(subject, trial, output)
            output.rows[TRIAL_ROW + subject.encode()] = msgspec.json.encode(trial)
        return output

    def _judge(self, subject: str, trial: Trial, output: Output) -> None:
        if len(trial.reached) < self.partitions:
            return
        complete = min(trial.reached.values())
        with_data = sorted({epoch for of, epoch, _ in self.reports if of == subject and epoch <= complete})
        for epoch in with_data:
            if epoch > trial.next_epoch:
                self._say_nothing_came(subject, trial, trial.next_epoch, output)
            self._judge_epoch(subject, trial, epoch, output)
            if trial.is_over:
                break
        if not trial.is_over and trial.next_epoch <= complete:
            self._say_nothing_came(subject, trial, trial.next_epoch, output)
            trial.next_epoch = complete + 1
        if trial.is_over:
            gone = [of for of in self.reports if of[0] == subject]
            for of in gone:
                del self.reports[of]
                output.rows[_report_row(of)] = None

    def _judge_epoch(self, subject: str, trial: Trial, epoch: int, output: Output) -> None:
        digests, places = [trial.digest], []
        variants: dict[str, VariantEvidence] = {}
        phases: dict[str, Phase] = {}
        for partition in range(self.partitions):
            report = self.reports.pop((subject, epoch, partition), None)
            if report is not None:
                variants, phases = merge_variants(variants, report.variants), merge_phases(phases, report.phases)
                digests.append(report.digest)
                places += report.places
                output.rows[_report_row((subject, epoch, partition))] = None
        trial.digest = digest("\x1f".join(digests).encode())
        if trial.standing.reached_ms == 0 and trial.experiment.rule.prior == "past_experiments":
            prior = prior_of(self._past(trial, epoch))
            trial.standing = msgspec.structs.replace(trial.standing, prior_sd=prior)
        trial.next_epoch, trial.is_silent = epoch + 1, False
        verdict = decide(trial.experiment, absorb(trial.experiment, trial.standing, epoch, variants, phases))
        trial.standing = verdict.standing
        self._publish_posterior(subject, trial, epoch, verdict, output)
        self._publish(subject, trial, epoch, verdict, places, output)
        if verdict.action in TERMINAL and verdict.variant is not None:
            everybody = set(trial.experiment.challengers)
            trial.is_over = verdict.action == "promote" or set(trial.standing.stopped) >= everybody

    def _past(self, trial: Trial, epoch: int) -> list[tuple[Experiment, Standing]]:
        """Experiments of the model that had been judged before an epoch; each partition reported them before it."""
        start_ms, model = epoch * trial.experiment.epoch_s * 1000, trial.experiment.model
        return [
            (each.experiment, each.standing)
            for _, each in sorted(self.trials.items())
            if each is not trial and each.experiment.model == model and 0 < each.standing.reached_ms <= start_ms
        ]

    def _say_nothing_came(self, subject: str, trial: Trial, epoch: int, output: Output) -> None:
        """Once for each silence, however long: `no data` is a state, not a stream of messages."""
        if not trial.is_silent:
            trial.is_silent = True
            verdict = Verdict(action="no_data", reasons=("no prediction was served or matured in this epoch",))
            self._publish(subject, trial, epoch, verdict, [], output)

    def _publish_posterior(self, subject: str, trial: Trial, epoch: int, verdict: Verdict, output: Output) -> None:
        model = trial.experiment.model
        event = PosteriorUpdated(
            id=stable_id("posterior", subject, epoch),
            time=(epoch + 1) * trial.experiment.epoch_s * 1000,
            key=model,
            model=model,
            subject=subject,
            epoch=epoch,
            variants=verdict.summary,
            began_ms=verdict.standing.began_ms,
        )
        headers = cloud_headers("PosteriorUpdated", event.id, SOURCE, event.time)
        output.send(POSTERIORS, self.partition, Row(model.encode(), encode(event), headers))

    def _publish(
        self,
        subject: str,
        trial: Trial,
        epoch: int,
        verdict: Verdict,
        places: list[tuple[str, int, int, int]],
        output: Output,
    ) -> None:
        model = trial.experiment.model
        event = DecisionMade(
            id=stable_id("decision", subject, epoch),
            time=(epoch + 1) * trial.experiment.epoch_s * 1000,
            key=model,
            model=model,
            subject=subject,
            epochs=(epoch, epoch),
            action=verdict.action,
            reasons=verdict.reasons,
            variant=verdict.variant,
            summary=verdict.summary,
            configuration_digest=digest(encode(trial.experiment)),
            evidence_digest=trial.digest or digest(b""),
            weights=verdict.weights,
            prior_sd=verdict.standing.prior_sd,
        )
        headers = [
            ("evidence", msgspec.json.encode(places)),
            *cloud_headers("DecisionMade", event.id, SOURCE, event.time),
        ]
        output.send(DECISIONS, self.partition, Row(model.encode(), encode(event), headers))


def _place(trial: Trial) -> tuple[int, bool]:
    """Where the next epoch begins; at one place, what has been judged before goes first."""
    return trial.next_epoch * trial.experiment.epoch_s, trial.standing.reached_ms == 0


def _report_row(of: tuple[str, int, int]) -> bytes:
    return f"r/{of[0]}/{of[1]}/{of[2]}".encode()
