"""Weights that change while an experiment runs: by a command, a ramp, a drop, or a bandit; on the loop."""

from collections import defaultdict

import msgspec
import pytest

from evenhand.codec import decoder, encode
from evenhand.errors import InvalidEvent
from evenhand.events import (
    CommandGiven,
    ControlChanged,
    DeadLettered,
    DecisionMade,
    Event,
    EvidenceReported,
    PredictionRequested,
    RequestAssigned,
    Served,
    Ticked,
)
from evenhand.experiments.bandit import top_two
from evenhand.experiments.experiment import Bandit, Experiment, Variant
from evenhand.offline import Log, MemoryRecord, Runner, loop
from evenhand.processors.base import Row
from evenhand.processors.control import Control, after_command, control
from evenhand.topics import ASSIGNMENTS, COMMANDS, DEAD_LETTERS, EVIDENCE, REQUESTS
from tests.unit.processors.play import PARTITIONS, START, Lines, decisions, judged, play, served, story, trial, write
from tests.unit.processors.test_fair_trial import again


def three(*weights: int) -> Experiment:
    declared = trial(minimum_sample_size=10**9)
    third = Variant(name="third", version="1.0.0", weight=1)
    return msgspec.structs.replace(
        declared,
        variants=tuple(
            msgspec.structs.replace(variant, weight=weight)
            for variant, weight in zip((*declared.variants, third), weights, strict=False)
        ),
    )


def command(kind: str, second: int, **more: object) -> CommandGiven:
    fields = {"model": "line", "command": kind, "by": "me", "subject": "trial", "key": "line"}
    return msgspec.convert({"id": f"{kind}-{second}", "time": START + second * 1000, **fields, **more}, CommandGiven)


def with_commands(told: list[tuple[float, str, Event]], first: ControlChanged, *commands: CommandGiven) -> Log:
    """A log in which controls stand where their commands were given."""
    log, holding = write(told, first, 1), first
    for given in commands:
        holding = after_command(holding, given, {"trial"})
        row, second = encode(holding), (given.time - START) // 1000
        for partition in range(PARTITIONS):
            records = log.records[REQUESTS, partition]
            (place,) = [i for i, r in enumerate(records) if _tick(r.value or b"") == second]
            records.insert(place + 1, MemoryRecord(0, START, None, row, []))
            log.records[REQUESTS, partition] = [r._replace(offset=i) for i, r in enumerate(records)]
    return log


def _tick(value: bytes) -> int | None:
    return None if b'"type":"Ticked"' not in value else (msgspec.json.decode(value, type=Ticked).time - START) // 1000


def with_users(seed: int, requests: int = 3000, users: int = 400) -> list[tuple[float, str, Event]]:
    return [
        (at, topic, msgspec.structs.replace(event, unit=f"user-{int(event.id[1:]) % users}"))
        if isinstance(event, PredictionRequested)
        else (at, topic, event)
        for at, topic, event in story(seed, requests, 240)
    ]


def answers(log: Log) -> dict[str, list[tuple[int, str, str]]]:
    """Of each user: when, under which control, by whom."""
    found = defaultdict(list)
    for value in log.values(ASSIGNMENTS):
        if b'"type":"RequestAssigned"' in value:
            event = msgspec.json.decode(value, type=RequestAssigned)
            found[event.unit].append((event.time, event.control, event.variant))
    return found


def test_a_ramp_moves_users_towards_the_challenger_only_and_is_no_mismatch() -> None:
    commands = [
        command("change_weights", second, weights={"old": 100 - new, "new": new})
        for second, new in ((60, 20), (120, 50), (180, 80))
    ]
    first = served(msgspec.structs.replace(trial(minimum_sample_size=10**9), variants=three(95, 5).variants))
    log = with_commands(with_users(1, users=2000), first, *commands)
    Runner(log, judged(Lines())).run()
    digests = list(dict.fromkeys(of for _, of, _ in sorted(each for seen in answers(log).values() for each in seen)))
    assert len(digests) == 1 + len(commands)
    for seen in answers(log).values():
        by_phase = {digests.index(of): variant for _, of, variant in seen}
        assert [by_phase[of] for of in sorted(by_phase)] == sorted(by_phase[of] for of in sorted(by_phase))[::-1]
        assert len({(of, variant) for _, of, variant in seen}) == len(by_phase), "one variant a phase"
    actions = {each.action for each in made(log)}
    assert actions <= {"continue", "no_data"}, "and never frozen"
    reports = [msgspec.json.decode(v, type=EvidenceReported) for v in log.values(EVIDENCE)]
    weights = {tuple(phase.weights.values()) for report in reports for phase in report.phases.values()}
    assert weights == {(95, 5), (80, 20), (50, 50), (20, 80)}
    assert sum(phase.crossed for report in reports for phase in report.phases.values()) == 0
    assert again(log, judged(Lines()), 3) == decisions(log)


def made(log: Log) -> list[DecisionMade]:
    return [msgspec.json.decode(value, type=DecisionMade) for value in decisions(log)]


def test_a_challenger_that_is_dropped_leaves_and_nobody_else_moves() -> None:
    first = served(three(50, 25, 25))
    log = with_commands(with_users(2), first, command("drop_variant", 100, variant="third"))
    Runner(log, judged(Lines())).run()
    for seen in answers(log).values():
        before = {variant for _, of, variant in seen if of == first.digest}
        after = {variant for _, of, variant in seen if of != first.digest}
        if before and after:
            assert after == ({"old"} if before == {"third"} else before)
    summaries = [sorted(each.summary) for each in made(log) if each.action == "continue"]
    assert summaries[0] == ["new", "third"]
    assert summaries[-1] == ["new"]
    assert {each.action for each in made(log)} <= {"continue", "no_data"}
    assert again(log, judged(Lines()), 4) == decisions(log)


def test_commands_about_phases_are_taken_by_control_and_wrong_ones_are_refused() -> None:
    log = Log(3)
    given = CommandGiven(
        id="first", time=START, key="line", model="line", command="apply_configuration", by="me",
        served=Served(champion="1.0.0", wait_s=30, experiment=trial()),
    )  # fmt: skip
    log.append(COMMANDS, 1, [Row(None, encode(given), [])])
    play(log, controls=True)
    log.append(COMMANDS, 2, [Row(None, encode(command("change_weights", 5, weights={"new": 60})), [])])
    play(log, controls=True)
    controls = {v for v in log.values(REQUESTS) if b"ControlChanged" in v}
    assert len(controls) == 2
    holding = served(trial())
    for wrong, said in (
        (command("change_weights", 1), "needs `weights`"),
        (command("drop_variant", 1, variant="old"), "needs a `variant`"),
        (command("drop_variant", 1, variant="none"), "needs a `variant`"),
    ):
        with pytest.raises(InvalidEvent, match=said):
            after_command(holding, wrong, {"trial"})
    ended = after_command(holding, command("drop_variant", 1, variant="new"), {"trial"})
    assert (ended.served.experiment, ended.ended) == (None, "trial"), "nobody is left on trial"


def test_a_wrong_weight_is_a_dead_letter_and_the_right_one_after_it_holds() -> None:
    first, taker = control(Served(champion="1.0.0", experiment=three(50, 30, 20)), "line", START, "up"), Control(0, 1)
    taker.controls.take(first)
    given = [
        command("change_weights", 1, weights={"od": 1}), command("change_weights", 2, weights={"old": 0, "new": 0}),
        command("change_weights", 3, weights={"old": 0, "new": 0, "third": 0}),
        command("change_weights", 4, weights={"new": 60}),
    ]  # fmt: skip
    output = taker.apply(COMMANDS, [MemoryRecord(k, 0, b"line", encode(each), []) for k, each in enumerate(given)])
    refused = [decoder(DeadLettered).decode(row.value or b"") for row in output.sends[DEAD_LETTERS, 0]]
    assert [letter.offset for letter in refused] == [0, 2]
    assert "no variants ['od']" in refused[0].reason
    assert "leave nobody to serve" in refused[1].reason
    holding = taker.controls.holding["line"].served.experiment
    assert holding is not None
    assert [each.weight for each in holding.variants] == [0, 60, 20]


def test_a_bandit_gives_weights_that_the_log_holds_and_is_off_by_default() -> None:
    plain = three(60, 40, 20)
    assert plain.bandit is None
    rule = msgspec.structs.replace(plain.rule, minimum_sample_size=100, minimum_duration_s=10**6)
    trying = msgspec.structs.replace(trial(), rule=rule, bandit=Bandit(every_s=50))
    log = Log(3)
    given = CommandGiven(
        id="first", time=START, key="line", model="line", command="apply_configuration", by="me",
        served=Served(champion="1.0.0", wait_s=30, experiment=trying),
    )  # fmt: skip
    log.append(COMMANDS, 0, [Row(None, encode(given), [])])
    runner = Runner(log, loop(Lines()))
    runner.run()
    for place, records in write(story(4, 1500, 240), served(None), 4).records.items():
        log.append(*place, [Row(r.key, r.value, []) for r in records if b"ControlChanged" not in (r.value or b"")])
    runner.run()
    given_weights = [each.weights for each in made(log) if each.weights]
    assert given_weights
    assert all(sum(weights.values()) == 10_000 and min(weights.values()) >= 500 for weights in given_weights)
    assert given_weights[-1]["new"] > 5000, "the better one"
    held = [msgspec.json.decode(v, type=ControlChanged) for v in set(log.values(REQUESTS)) if b"ControlChanged" in v]
    logged = [
        {variant.name: variant.weight for variant in each.served.experiment.variants}
        for each in held
        if each.served.experiment is not None and each.reason == "bandit"
    ]
    assert all(weights in logged for weights in given_weights)


def test_weights_follow_the_probabilities_and_nobody_starves() -> None:
    bandit = Bandit(minimum_share=0.1)
    weights = top_two({"a": 0.98, "b": 0.02, "c": 0.0}, bandit)
    assert weights["a"] > weights["b"] > weights["c"] >= 1000
    assert top_two({"a": 0.2, "b": 0.2, "c": 0.2}, bandit) == {"a": 3334, "b": 3333, "c": 3333}
    r = sum(top_two({"a": 0.1, "b": 0.6, "c": 0.3}, bandit).values())
    assert r == 10_000


def test_a_control_by_name_is_what_the_posterior_of_one_that_was_dropped_cannot_change() -> None:
    holding = control(Served(champion="1.0.0", experiment=trial()), "line", START, "x")
    assert after_command(
        holding, command("change_weights", 2, weights={"old": 1, "new": 1}), {"trial"}
    ).served.experiment
