"""Starts everything that a loop needs on one machine, keeps it running, and ends it.

One supervisor a folder. It starts a broker and Redis (or uses those that the environment names), creates the topics,
starts the clock and the workers, has the models trained and the configuration applied, and says when the loop is
ready. Whatever dies is started again. Nothing outlives it, however it ends: children die with their parent
(`adapters.processes`).
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType, MappingProxyType

from adapters import processes
from adapters.clock import now_ms
from adapters.errors import DependencyUnavailable
from adapters.kafka.broker import Broker, start_broker
from adapters.kafka.local import LocalBroker
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import ensure_topics
from adapters.readiness import wait_ready
from adapters.redis import RedisServer, start_redis
from adapters.run_state import Kept, Phase, RunState, held, read_state, state_path, write_json
from adapters.service import Service
from evenhand.errors import EvenhandError
from evenhand.topics import Topic, every_topic

_READY_S = 180.0
_LOOK_S = 0.1
_WORKER_GRACE_S, _SERVER_GRACE_S = 15.0, 10.0
_TRIES = 4  # of a child, before the loop was ready for the first time
log = logging.getLogger(__name__)


class Interrupted(BaseException):
    """A signal asked for the end while something was being started."""


class Supervisor:
    """`run` returns when a signal has ended it. `environment` is what the children get, besides the endpoints."""

    def __init__(
        self, home: Path, workers: int, environment: Mapping[str, str], told: Callable[[RunState], None],
        *, beside: Mapping[str, Sequence[str]] = MappingProxyType({}), topics: Sequence[Topic] = (),
    ) -> None:  # fmt: skip
        """Keep `workers` workers, with everything that they leave behind in `home`; `told` hears of each change.

        Commands `beside` it, by name, start when it is ready. `topics` are those to create, by default all as declared.
        """
        self._beside, self._topics = beside, topics or every_topic()
        self._home, self._told = home, told
        self._environment = {**environment, "EVENHAND_HOME": str(home)}
        self._worker_names = [f"w{number}" for number in range(1, workers + 1)]
        self._ended, self._lock = threading.Event(), threading.RLock()
        self._starting = True
        self._services: dict[str, Service] = {}
        self._steps: list[processes.Child] = []
        self._setup: Future[None] | None = None
        self._broker: Broker | None = None
        self._redis: RedisServer | None = None
        pid = os.getpid()
        self._state = RunState(
            pid=pid, identity=processes.identity(pid) or "", phase="starting", started_at=now_ms(), home=str(home),
            log=str(home / "log" / "supervisor.log"),
        )  # fmt: skip

    def run(self) -> None:
        """Start, keep, and at a signal stop everything. Raises what made it impossible."""
        with held(self._home):
            end_leftovers(self._home)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, self._interrupt)
            try:
                self._start()
                self._keep()
            except Interrupted:
                self._stop("")
            except EvenhandError as error:
                self._stop(str(error), type(error).__name__)
                raise
            except BaseException as error:
                self._stop(repr(error), type(error).__name__)
                raise
            else:
                self._stop("")

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._ended.set()
        if self._starting:
            self._starting = False
            raise Interrupted

    # Starting

    def _start(self) -> None:
        self._say("starting the broker and Redis")
        with ThreadPoolExecutor(2) as pool:
            broker, redis = pool.submit(start_broker, self._home), pool.submit(start_redis, self._home)
            self._broker, self._redis = broker.result(), redis.result()
        endpoints = {**self._broker.environment(), **self._redis.environment()}
        self._environment |= endpoints
        self._state.environment = {name: value for name, value in endpoints.items() if "@" not in value}
        self._state.broker, self._state.redis = self._broker.name, self._redis.name
        if isinstance(self._broker, LocalBroker):
            self._services["broker"] = Service("broker", self._broker_again(self._broker.port), self._broker.child)
        if self._redis.child is not None:
            port = int(self._redis.url.rpartition(":")[2].partition("/")[0])
            self._services["redis"] = Service("redis", self._redis_again(port), self._redis.child)
        self._start_loop()
        self._starting = False

    def _start_loop(self) -> None:
        """Everything that needs the topics."""
        self._say("creating the topics")
        asyncio.run(ensure_topics(self._settings(), self._topics))
        for name in self._worker_names:
            self._add(name, "worker", "--name", name, BROKER_CLIENT_ID=f"evenhand-{name}")
        self._add("clock", "clock")
        self._add("exporter", "exporter")
        self._say("training the models that are missing")
        self._setup = Future()
        threading.Thread(target=self._set_up, args=(self._setup,), name="setup", daemon=True).start()

    def _add(self, name: str, *command: str, **more: str) -> None:
        def start() -> processes.Child:
            return self._command(name, *command, **more)

        service = self._services[name] = Service(name, start)
        service.start()

    def _command(self, name: str, *command: str, **more: str) -> processes.Child:
        return processes.start(
            name, [sys.executable, "-m", "evenhand.cli", *command], log=self._home / "log" / f"{name}.log",
            env={"OMP_NUM_THREADS": "1", **self._environment, **more},
        )  # fmt: skip

    def _set_up(self, done: "Future[None]") -> None:
        try:
            self._step("train", "models", "train")
            self._say("applying the configuration where the log holds none")
            self._step("configure", "config", "apply", "--missing", "--timeout", str(_READY_S))
            asyncio.run(
                wait_ready(self._settings(), self._home, self._worker_names, deadline_s=_READY_S, say=self._say)
            )
        except BaseException as error:  # noqa: BLE001 - it belongs to the main thread
            done.set_exception(error)
        else:
            done.set_result(None)

    def _step(self, name: str, *command: str) -> None:
        child = self._command(name, *command)
        self._steps.append(child)
        code = child.wait()
        self._steps.remove(child)
        if code:
            raise DependencyUnavailable(
                f"`evenhand {' '.join(command)}` ended with status {code}; its log {child.log} ends with:\n"
                f"{child.log_tail()}"
            )

    # Keeping

    def _keep(self) -> None:
        while not self._ended.wait(_LOOK_S):
            changed = False
            for service in list(self._services.values()):
                if not service.look():
                    continue
                changed = True
                if service.name == "broker" and service.child is not None and not self._durable():
                    self._rebuild()
                    break
            if self._setup is not None and self._setup.done():
                self._setup.result()
                self._setup = None
                for name, command in self._beside.items():
                    self._add(name, *command)
                self._state.ready_at = now_ms()
                self._phase("ready", "")
            elif changed:
                self._give_up_early()
                self._write()

    def _durable(self) -> bool:
        return self._broker is not None and self._broker.capabilities.durable

    def _rebuild(self) -> None:
        """The broker is new and empty: what the workers hold is of a log that is gone."""
        log.warning("the broker was started again and has lost the log: workers start anew")
        self._phase("starting", "the broker has died and lost its log")
        self._stop_services("clock", "exporter", *self._beside, *self._worker_names)
        self._start_loop()

    def _give_up_early(self) -> None:
        if self._state.ready_at is None:
            for service in self._services.values():
                if service.early_ends >= _TRIES:
                    tail = processes.tail(self._home / "log" / f"{service.name}.log")
                    raise DependencyUnavailable(
                        f"{service.name} ended {_TRIES} times (status {service.last_exit}); its log ends with:\n{tail}"
                    )

    # Ending

    def _stop(self, message: str, failure: str = "") -> None:
        self._starting = False
        self._state.message, self._state.failure = message, failure
        self._phase("stopping", message)
        for child in list(self._steps):
            child.stop(1.0)
        self._stop_services("clock", "exporter", *self._beside, *self._worker_names)
        self._stop_services("redis", "broker")
        if failure:
            self._phase("failed", message)
        else:
            state_path(self._home).unlink(missing_ok=True)

    def _stop_services(self, *names: str) -> None:
        there = [self._services.pop(name) for name in names if name in self._services]
        grace_s = _SERVER_GRACE_S if "broker" in names else _WORKER_GRACE_S
        with ThreadPoolExecutor(max(1, len(there))) as pool:
            for ending in [pool.submit(service.stop, grace_s) for service in there]:
                ending.result()
        self._write()

    # What others see

    def _settings(self) -> KafkaSettings:
        return KafkaSettings.from_environment(self._environment)

    def _broker_again(self, port: int) -> Callable[[], processes.Child]:
        def start() -> processes.Child:
            self._broker = broker = start_broker(self._home, port=port)
            if not isinstance(broker, LocalBroker):
                raise DependencyUnavailable(f"the broker was ours and is now {broker.name}: run `evenhand up` anew")
            return broker.child

        return start

    def _redis_again(self, port: int) -> Callable[[], processes.Child]:
        def start() -> processes.Child:
            self._redis = redis = start_redis(self._home, port=port)
            if redis.child is None:
                raise DependencyUnavailable(f"Redis was ours and is now {redis.name}: run `evenhand up` anew")
            return redis.child

        return start

    def _say(self, message: str) -> None:
        self._phase(self._state.phase, message)

    def _phase(self, phase: Phase, message: str) -> None:
        with self._lock:
            self._state.phase, self._state.message = phase, message
            self._write()

    def _write(self) -> None:
        with self._lock:
            kept = {name: each for name, service in self._services.items() if (each := service.kept()) is not None}
            for child in list(self._steps):
                kept[child.name] = Kept(child.name, child.pid, child.identity, str(child.log))
            self._state.children = kept
            self._state.workers = {
                name: self._services[name].restarts if name in self._services else 0 for name in self._worker_names
            }
            write_json(state_path(self._home), self._state)
            self._told(self._state)


def end_leftovers(home: Path) -> list[str]:
    """End what a supervisor that was killed may have left behind; the names of what still ran."""
    state = read_state(home)
    if state is None:
        return []
    ended = [
        kept.name
        for kept in state.children.values()
        if processes.stop_pid(kept.pid, known=kept.identity, grace_s=_SERVER_GRACE_S)
    ]
    state_path(home).unlink(missing_ok=True)
    return ended
