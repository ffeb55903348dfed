"""Failpoints, timing and the heart."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.errors import InvalidSetting
from adapters.kafka import failpoints, heart, starting
from adapters.kafka.ending import FAILED, FROZEN
from adapters.kafka.heart import Heart
from adapters.kafka.timing import Timing
from evenhand.errors import InvalidConfiguration


class Ended(BaseException):
    """Stands for the end of the process."""


def end(code: int, reason: str, cause: BaseException | None = None) -> None:
    raise Ended(code, reason)


async def test_a_failpoint_acts_when_it_is_passed_for_the_nth_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "armed", failpoints.parse("after_send:2:raise, loading@intake:1:sleep:0.05"))
    await failpoints.reach("after_send", "evidence")
    with pytest.raises(failpoints.FailpointReached):
        await failpoints.reach("after_send", "evidence")
    await failpoints.reach("after_send", "evidence")
    started = time.monotonic()
    await failpoints.reach("loading", "assignment")
    assert time.monotonic() - started < 0.04
    await failpoints.reach("loading", "intake")
    assert time.monotonic() - started > 0.04


@pytest.mark.parametrize("text", ["after_lunch:1:kill", "after_send:x:kill", "after_send:1:hug", "after_send", "::"])
def test_a_failpoint_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match="EVENHAND_FAILPOINT"):
        failpoints.parse(text)


def test_timing_is_read_from_the_environment() -> None:
    timing = Timing.from_environment({"EVENHAND_SESSION_TIMEOUT_S": "6", "EVENHAND_MAX_BATCH_BYTES": "1000"})
    assert (timing.session_timeout_s, timing.max_batch_bytes, timing.stall_timeout_s) == (6, 1000, 60)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("EVENHAND_STALL_TIMEOUT_S", "soon"), ("EVENHAND_STALL_TIMEOUT_S", "0"), ("EVENHAND_SESSION_TIMEOUT_S", "31")],
)
def test_a_wrong_timing_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=variable):
        Timing.from_environment({variable: value})


async def test_a_heart_that_stood_still_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heart, "end_process", end)
    beating = Heart(0.5)
    task = asyncio.ensure_future(beating.beat())
    await asyncio.sleep(0.3)
    beating.check()
    time.sleep(0.7)  # noqa: ASYNC251  frozen
    with pytest.raises(Ended) as ended:
        beating.check()
    assert ended.value.args[0] == FROZEN
    with pytest.raises(Ended):  # whichever runs first after a thaw
        await task


def assigned(**numbers: list[int]) -> list[Any]:
    return [SimpleNamespace(topic=topic, partition=number) for topic, of in numbers.items() for number in of]


def test_an_agent_that_got_different_partitions_of_its_topics_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "end_process", end)
    app: Any = SimpleNamespace(topics_of={"join": ("left", "right"), "other": ("left",)})
    starting.check_copartitioned(app, assigned(left=[0, 3], right=[0, 3]))
    starting.check_copartitioned(app, [])
    for wrong in (assigned(left=[0, 3], right=[0, 2]), assigned(left=[0])):
        with pytest.raises(Ended, match="join was given different partitions") as ended:
            starting.check_copartitioned(app, wrong)
        assert ended.value.args[0] == FAILED


@pytest.mark.parametrize(
    "change",
    [{"in_transaction": True}, {"client_only": True}, {"standby": 0}, {"assignor": object()}, {"tables": {"rows"}}],
)
def test_settings_of_faust_that_lose_or_split_work_end_the_process(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    monkeypatch.setattr(starting, "end_process", end)
    monkeypatch.setattr(starting, "PartitionAssignor", str)
    good = {"in_transaction": False, "client_only": False, "standby": 1, "assignor": "ours", "tables": set()}

    def app(**values: Any) -> Any:
        return SimpleNamespace(
            in_transaction=values["in_transaction"], client_only=values["client_only"], assignor=values["assignor"],
            conf=SimpleNamespace(table_standby_replicas=values["standby"]),
            tables=SimpleNamespace(changelog_topics=values["tables"]),
        )  # fmt: skip

    starting.check_settings(app(**good))
    with pytest.raises(Ended):
        starting.check_settings(app(**{**good, **change}))
