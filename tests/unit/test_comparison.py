"""Two decision logs side by side."""

import msgspec

from evenhand.codec import encode
from evenhand.comparison import Comparison, SignalLog, Signals, compare, compare_signals
from evenhand.events import ControlChanged, DecisionMade, DriftDetected, DriftJudged
from evenhand.judgement import Judgement
from evenhand.processors.control import after_decision
from evenhand.topics import DECISIONS, EVIDENCE
from tests.unit.processors.play import PARTITIONS, play, served, story, trial, write

FIRST = served(trial())
LOG = write(story(1), FIRST, 1)
RUN = play(LOG)
WATERMARK = FIRST.time + 299_000


def judgement(reports: list[bytes], decisions: list[bytes]) -> Judgement:
    found = Judgement(PARTITIONS)
    for value in reports:
        found.hear_report(value)
    for value in decisions:
        found.hear_decision(value)
    return found


def logs() -> tuple[list[bytes], list[bytes]]:
    return LOG.values(EVIDENCE), LOG.values(DECISIONS)


def against(changed: list[bytes], *controls: ControlChanged, watermark: int = WATERMARK) -> Comparison:
    reports, decisions = logs()
    return compare(judgement(reports, changed), judgement(reports, decisions), watermark, [FIRST, *controls])


def test_a_log_equals_itself() -> None:
    _, decisions = logs()
    found = against(decisions)
    assert found.equal
    assert found.compared == len(decisions) > 3
    assert found.recorded_digest == found.replayed_digest


def test_the_first_decision_that_differs_is_named() -> None:
    _, decisions = logs()
    other = msgspec.structs.replace(msgspec.json.decode(decisions[2], type=DecisionMade), reasons=("because",))
    found = against([*decisions[:2], encode(other), *decisions[3:]])
    assert found.difference is not None
    assert found.difference.recorded == other
    assert found.recorded_digest != found.replayed_digest


def test_a_decision_that_is_missing_in_the_middle_is_a_difference() -> None:
    _, decisions = logs()
    found = against([*decisions[:1], *decisions[2:]])
    assert found.difference is not None
    assert found.difference.recorded is None


def test_what_the_recording_had_not_decided_yet_is_no_difference() -> None:
    _, decisions = logs()
    found = against(decisions[:-2])
    assert found.equal
    assert (found.compared, found.beyond) == (len(decisions) - 2, 2)


def test_what_the_copy_does_not_close_is_not_compared() -> None:
    _, decisions = logs()
    found = against(decisions, watermark=FIRST.time + 36_000)
    assert found.equal
    assert 0 < found.compared < len(decisions)


def test_what_began_before_the_copy_is_left_out() -> None:
    reports, decisions = logs()
    found = compare(judgement(reports, decisions), Judgement(PARTITIONS), WATERMARK, [])
    assert (found.compared, found.left_out) == (0, ["trial"])


def test_what_is_never_decided_again_is_a_difference() -> None:
    reports, decisions = logs()
    found = compare(judgement(reports, decisions), Judgement(PARTITIONS), WATERMARK, [FIRST])
    assert found.difference is not None
    assert found.difference.replayed is None


def test_a_control_that_does_not_follow_from_its_decision_is_named() -> None:
    _, decisions = logs()
    events = [msgspec.json.decode(value, type=DecisionMade) for value in decisions]
    follows = next(control for event in events if (control := after_decision(FIRST, event)) is not None)
    assert against(decisions, follows).equal
    other = msgspec.structs.replace(follows, served=msgspec.structs.replace(follows.served, champion="9.9.9"))
    assert against(decisions, other).unlike == [other]


def signal(name: str, minute: int, model: str = "m") -> bytes:
    return encode(
        DriftDetected(
            id=name, time=FIRST.time + minute * 60_000, key=model, model=model, detector="d", statistic=1.0,
            threshold=1.0, effect_size=1.0, reference_size=1, window_size=1,
        )
    )  # fmt: skip


def judged(minute: int, model: str = "m") -> bytes:
    time = FIRST.time + minute * 60_000
    return encode(DriftJudged(id=f"{model}{minute}", time=time, key=model, model=model, subject=model, epoch=minute))


def test_an_alarm_of_drift_that_a_replay_does_not_raise_is_a_difference_though_it_was_the_only_one() -> None:
    recorded = SignalLog([judged(1), signal("alarm", 2), judged(2), judged(3)])
    for other in (SignalLog([judged(1), judged(2), judged(3)]), SignalLog([judged(2)])):
        assert compare_signals(recorded, other) == Signals(1, ("alarm",))
        assert compare_signals(other, recorded) == Signals(1, ("alarm",))
    assert compare_signals(recorded, recorded) == Signals(1)


def test_alarms_are_compared_as_far_as_drift_of_their_model_is_judged_on_both_sides() -> None:
    recorded = SignalLog([signal("early", 1), judged(1), judged(9, "n"), signal("late", 5), judged(5)])
    replayed = SignalLog([signal("early", 1), judged(4), judged(9, "n")])
    assert compare_signals(recorded, replayed) == Signals(1)
    without_ticks = SignalLog([signal("early", 1), signal("middle", 2), signal("late", 5)])
    assert compare_signals(without_ticks, replayed) == Signals(2, ("middle",))
