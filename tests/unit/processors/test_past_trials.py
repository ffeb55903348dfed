"""What past trials of a model say about a new one does not depend on how evidence falls into batches."""

import msgspec

from evenhand.codec import encode
from evenhand.events import DecisionMade, EvidenceReported, Moments, VariantEvidence
from evenhand.experiments.experiment import Experiment, Variant
from evenhand.offline import MemoryRecord
from evenhand.processors.posterior import Posterior
from evenhand.topics import DECISIONS, EVIDENCE

HOUR = 1_600_000_000 // 3600
METRIC = "squared_error"


def experiment(name: str, epoch_s: int, challengers: int, **rule: object) -> Experiment:
    names = ("old", *(f"new-{number}" for number in range(challengers)))
    return msgspec.convert(
        {
            "name": name, "model": "m", "champion": "old", "epoch_s": epoch_s,
            "variants": msgspec.to_builtins([Variant(name=each, version=each, weight=1) for each in names]),
            "rule": {"minimum_sample_size": 50, "minimum_detectable_effect": 0.001, **rule},
        },
        Experiment,
    )  # fmt: skip


def report(of: Experiment, epoch: int) -> EvidenceReported:
    own = Moments(200, 1.0, 200.0)
    variants = {"old": VariantEvidence(served=200, predictions=200, matured=200, losses={METRIC: own})}
    for number, name in enumerate(of.challengers):
        paired = Moments(200, 0.001 * number + 0.05 * (epoch % 2), 20.0)
        variants[name] = VariantEvidence(
            served=200, predictions=200, matured=200, losses={METRIC: own}, paired={METRIC: paired}
        )
    return EvidenceReported(
        id=f"{of.name}/{epoch}", time=(epoch + 1) * of.epoch_s * 1000, key="m", model="m", subject=of.name,
        experiment=of, partition=0, first_epoch=epoch, last_epoch=epoch, epoch_s=of.epoch_s, variants=variants,
    )  # fmt: skip


def test_a_trial_with_longer_epochs_learns_the_same_from_the_past_in_one_batch_and_in_many() -> None:
    before, after = experiment("before", 60, 10), experiment("after", 3600, 1, prior="past_experiments")
    events = [*(report(before, HOUR * 60 + minute) for minute in range(50)), report(after, HOUR + 1)]
    records = [MemoryRecord(offset, 0, b"m", encode(event), []) for offset, event in enumerate(events)]
    found = []
    for batch in (1, 7, len(records)):
        posterior = Posterior(0, 1)
        outputs = [posterior.apply(EVIDENCE, records[at : at + batch]) for at in range(0, len(records), batch)]
        decisions = [
            msgspec.json.decode(row.value or b"", type=DecisionMade)
            for output in outputs
            for row in output.sends.get((DECISIONS, 0), [])
        ]
        found.append(sorted(decisions, key=lambda one: one.id))
    assert found[0] == found[1] == found[2]
    (judged,) = [each for each in found[0] if each.subject == "after"]
    assert judged.prior_sd is not None
