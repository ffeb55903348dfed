"""A/B tests by their document's names: each is an experiment of the loop, over Kafka, whose answers users bring along.

    from evenhand.client.examples import ABTestConfig, create_ab_test_manager

    manager = create_ab_test_manager()
    test_id = manager.create_ab_test(config, start_immediately=True)
    variant = manager.process_request(test_id=test_id, user_id="user_123", prediction=0.3, actual=0.2,
                                      response_time=0.01)

The broker is the one that KAFKA_BOOTSTRAP_SERVERS names, else that of `evenhand up` in this folder. The loop assigns
users, judges and decides; a second program may use the same test by its id, and a promotion reaches both.
"""

import asyncio
import atexit
import contextlib
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec
import numpy as np

from evenhand.client.commands import NoAnswer, give
from evenhand.client.connection import kafka_settings
from evenhand.client.identity import new_id, now_ms, who
from evenhand.client.produce import Producer
from evenhand.client.report import report_from_topics
from evenhand.codec import decoder
from evenhand.errors import InvalidConfiguration
from evenhand.events import (
    CommandGiven,
    ControlChanged,
    MetricObserved,
    OutcomeObserved,
    PredictionMade,
    PredictionRequested,
    Served,
    Ticked,
)
from evenhand.experiments.ab_test import METRICS, ABTestConfig
from evenhand.experiments.assignment import assign
from evenhand.experiments.experiment import Experiment
from evenhand.experiments.report import Report, unseen
from evenhand.experiments.report_html import html
from evenhand.experiments.user_metric import UserMetric
from evenhand.metrics import loss
from evenhand.processors.given import PREDICTION, PREFIX, RESPONSE_TIME
from evenhand.topics import PREDICTIONS

if TYPE_CHECKING:
    from adapters.kafka.settings import KafkaSettings

__all__ = ["ABTestConfig", "ABTests", "create_ab_test_manager"]

T = TypeVar("T")
TIMEOUT_S = 60.0
WAIT_S = 3600
ACCURACY = "accuracy"
_MARK = f'"{PREFIX}'.encode()


def create_ab_test_manager(*, epoch_s: int = 5, grace_s: int = 5, timeout_s: float = TIMEOUT_S) -> "ABTests":
    """Connect to the loop. Evidence is judged every `epoch_s` seconds, and may come `grace_s` seconds late."""
    return ABTests(kafka_settings(), epoch_s=epoch_s, grace_s=grace_s, timeout_s=timeout_s)


class ABTests:
    """A/B tests of one program. `close` it, or use it in a `with`; otherwise it is closed when the program ends."""

    def __init__(self, settings: "KafkaSettings", *, epoch_s: int, grace_s: int, timeout_s: float) -> None:
        """Connect in a thread of its own."""
        self._settings, self._epoch_s, self._grace_s, self._timeout_s = settings, epoch_s, grace_s, timeout_s
        self._tests: dict[str, Experiment] = {}
        self._answers: dict[str, asyncio.Future[PredictionMade]] = {}
        self._decoder: msgspec.json.Decoder[Any] = decoder(PredictionMade, Ticked, ControlChanged)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="evenhand A/B tests", daemon=True)
        self._thread.start()
        self._producer = Producer(settings)
        self._is_open = False
        try:
            self._reading = self._run(self._connect())
        except BaseException:
            self._end()
            raise
        self._is_open = True
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect. The tests go on."""
        if self._is_open:
            self._is_open = False
            atexit.unregister(self.close)
            try:
                self._run(self._disconnect())
            finally:
                self._end()

    def create_ab_test(self, config: ABTestConfig, start_immediately: bool = False) -> str:  # noqa: FBT001, FBT002 - its document's signature
        """Make a test of a configuration; its id, which is new each time."""
        test_id = f"{config.test_name}-{new_id()[:8]}"
        self._tests[test_id] = self._experiment(config, test_id)
        if start_immediately:
            self.start_test(test_id)
        return test_id

    def start_test(self, test_id: str) -> None:
        """Start it, and wait until the loop's control says so."""
        experiment = self._known(test_id)
        served = Served(champion=experiment.variant("control").version, wait_s=WAIT_S, experiment=experiment)
        self._command(experiment.model, "apply_configuration", served=served)

    def stop_test(self, test_id: str, reason: str = "") -> None:
        """End it; the control serves everybody."""
        self._command(self._known(test_id).model, "stop_experiment", subject=test_id, reason=reason)

    def process_request(
        self,
        test_id: str,
        user_id: str,
        prediction: float | Sequence[float],
        actual: float | Sequence[float] | None = None,
        response_time: float | None = None,
    ) -> str:
        """Report a request of a user: the variant that the loop has assigned to them, whose answer this counts as.

        `prediction` and `actual` are numbers, or one for each step; `response_time` is in seconds. After a promotion
        everybody is served by "champion".
        """
        experiment = self._known(test_id)
        values = np.atleast_1d(np.asarray(prediction, np.float64)).ravel()
        truth = None if actual is None else np.atleast_1d(np.asarray(actual, np.float64)).ravel()
        if truth is not None and len(truth) != len(values):
            raise InvalidConfiguration(f"{len(values)} predictions, and {len(truth)} actual values: give one for each")
        return self._run(self._process(experiment, user_id, values, truth, response_time))

    def get_variant(self, test_id: str, user_id: str) -> str:
        """Whose answer a user is to get, while the test runs as it was made: which model to ask."""
        return assign(self._known(test_id), user_id).name

    def get_test_status(self, test_id: str) -> dict[str, Any]:
        """How it stands: state and reasons, both variants' books, what is believed beside what is certified."""
        found = self._report(test_id)
        (challenger,) = found.challengers
        of = challenger.posterior
        return {
            "test_id": test_id, "status": found.state, "winner": found.variant if found.state == "promoted" else None,
            "reasons": list(found.reasons), "success_metric": found.experiment.success_metric,
            "variants": {arm.name: msgspec.to_builtins(arm) for arm in found.arms},
            "probability_better": of.probability_better, "relative_change": of.relative_difference,
            "credible_interval": of.relative_interval, "expected_loss": of.expected_loss,
            "observed_difference": of.observed_difference, "confidence_sequence": of.confidence_sequence,
            "certified": challenger.certified,
            "guardrails": {name: watched.state for name, watched in challenger.guardrails.items()},
            "sample_ratio": found.mismatch or "ok", "progress": msgspec.to_builtins(challenger.progress),
        }  # fmt: skip

    def create_test_dashboard(self, test_id: str, path: str | Path | None = None) -> Path:
        """Write a page of HTML with all that is known now; where it is."""
        place = Path(path) if path is not None else Path(f"{test_id}.html")
        place.write_text(html(self._report(test_id)), encoding="utf-8")
        return place.absolute()

    def _experiment(self, config: ABTestConfig, test_id: str) -> Experiment:
        """Users of one variant see its answers only, so what decides is what they report, by variant."""
        name = METRICS.get(config.success_metric, config.success_metric)
        loss(name)
        is_accuracy = config.success_metric == ACCURACY
        metric = UserMetric(name=ACCURACY if is_accuracy else name, better="higher" if is_accuracy else "lower")
        return msgspec.structs.replace(
            config.experiment(f"{PREFIX}{test_id}"), name=test_id, epoch_s=self._epoch_s, grace_s=self._grace_s,
            success_metric=metric.name, metrics=(metric,),
        )  # fmt: skip

    def _known(self, test_id: str) -> Experiment:
        """A test that was made here or, by another program, in the loop."""
        if test_id not in self._tests:
            held = self._run(self._holding()).get(f"{PREFIX}{test_id}")
            if held is None or held.served.experiment is None:
                raise InvalidConfiguration(
                    f"no test {test_id!r} was made here or runs in the loop, these were made: {sorted(self._tests)}"
                )
            self._tests[test_id] = held.served.experiment
        return self._tests[test_id]

    async def _holding(self) -> dict[str, ControlChanged]:
        from adapters.kafka.log_reader import log_reader
        from adapters.loop_state import holding

        async with log_reader(self._settings) as reader:
            return await holding(reader)

    def _command(self, model: str, command: Any, **more: Any) -> None:
        given = CommandGiven(id=new_id(), time=now_ms(), key=model, model=model, command=command, by=who(), **more)
        self._run(give(given, settings=self._settings, timeout_s=self._timeout_s))

    async def _process(
        self, experiment: Experiment, user: str, values: Any, truth: Any, response_time: float | None
    ) -> str:
        request_id, time = new_id(), now_ms()
        features = {PREDICTION: float(values[-1])}
        if response_time is not None:
            features[RESPONSE_TIME] = 1000.0 * response_time
        answer = self._answers[request_id] = self._loop.create_future()
        await self._producer.send(
            PredictionRequested(
                id=request_id, time=time, key=user, model=experiment.model, unit=user, features=features
            )
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._timeout_s):
                made = await answer
        except TimeoutError:
            raise NoAnswer(
                f"the request {request_id} was not answered within {self._timeout_s:g} s: see `evenhand status`"
            ) from None
        finally:
            self._answers.pop(request_id, None)
        if truth is not None:
            reported = _reported(experiment, values, truth)
            metric = experiment.success_metric
            await self._producer.send(
                MetricObserved(
                    id=f"{request_id}-metric", time=now_ms(), key=user, name=metric, value=reported,
                    model=experiment.model, request_id=request_id,
                )
            )  # fmt: skip
            await self._producer.send(
                OutcomeObserved(
                    id=f"{request_id}-actual", time=now_ms(), key=user, value=float(truth[-1]), request_id=request_id
                )
            )
        return str(made.variant)

    def _report(self, test_id: str) -> Report:
        async def read() -> Report | None:
            from adapters.kafka.log_reader import log_reader

            async with log_reader(self._settings) as reader:
                return await report_from_topics(self._settings, reader, test_id)

        return self._run(read()) or unseen(self._known(test_id))

    async def _connect(self) -> "asyncio.Task[None]":
        await self._producer.__aenter__()
        ready = self._loop.create_future()
        reading = self._loop.create_task(self._read(ready))
        await asyncio.wait({ready, reading}, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            reading.result()
        return reading

    async def _read(self, ready: "asyncio.Future[None]") -> None:
        """Hand the answers that are waited for to those who wait."""
        from adapters.kafka.log_reader import log_reader

        async with log_reader(self._settings) as reader:
            ends = await reader.ends(await reader.places(PREDICTIONS))
            ready.set_result(None)
            async with contextlib.aclosing(reader.read(ends)) as records:
                async for record in records:
                    if record.value and _MARK in record.value:
                        made = self._decoder.decode(record.value)
                        if isinstance(made, PredictionMade):
                            waiting = self._answers.get(made.request_id)
                            if waiting is not None and not waiting.done():
                                waiting.set_result(made)

    async def _disconnect(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._producer.__aexit__(None, None, None)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _reported(experiment: Experiment, values: Any, truth: Any) -> float:
    """What a request is worth, over its steps: a loss, or the fraction of directions that were right."""
    metric = experiment.success_metric
    lost = float(loss(METRICS.get(metric, metric)).losses(values, truth).mean())
    return 1.0 - lost if metric == ACCURACY else lost
