"""`evenhand up` and `evenhand down`: the whole loop on one machine."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli import exits
from evenhand.cli.output import Json, complain, note, result, say, table

if TYPE_CHECKING:
    from adapters.processes import Child
    from adapters.run_state import RunState

_POLL_S = 0.05
_DOWN_S = 60.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(up)
    app.command()(down)


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when it is ready, and leave it running.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, max=64, help="Worker processes.")] = 1,
    timeout: Annotated[float, typer.Option("--timeout", help="With --detach: seconds until it must be ready.")] = 240.0,
    json: Json = False,
) -> None:
    """Start everything: a broker, Redis, topics, models, the clock and workers. Ctrl-C or `evenhand down` ends it.

    Kafka is the one of KAFKA_BOOTSTRAP_SERVERS, else an Apache Kafka from KAFKA_HOME, else the embedded broker. Where a
    channel for alerts is set (SLACK_WEBHOOK_URL, SMTP_SERVER, MONITORING_WEBHOOK_URL, ...), a notifier runs, too; where
    MLflow is installed, what keeps its registry like the log; where models.yaml says `learn`, what goes on learning.
    """
    from evenhand.client.checkout import root

    root()
    from adapters.run_state import home, running_state

    folder = home()
    running = running_state(folder)
    if running is not None:
        complain(f"it already runs in {folder} ({running.phase}): `evenhand status` shows it, `evenhand down` ends it")
        result(endpoints(running), json, lambda: endpoint_lines(running))
        raise typer.Exit(exits.FAILED)
    if detach:
        state = _start_daemon(folder, workers, timeout)
        result(endpoints(state), json, lambda: endpoint_lines(state))
    else:
        _run_here(folder, workers, json)


def down(json: Json = False) -> None:
    """End everything that `up` has started in this folder, and make sure of it."""
    from evenhand.client.checkout import root

    root()
    from adapters import processes
    from adapters.run_state import home, read_state
    from adapters.supervisor import end_leftovers

    folder = home()
    state = read_state(folder)
    if state is None:
        result({"stopped": []}, json, lambda: f"nothing runs in {folder}")
        return
    names = [kept.name for kept in state.children.values() if kept.alive()]
    if state.alive():
        note(f"ending {', '.join(names) or 'the supervisor'}")
        processes.stop_pid(state.pid, known=state.identity, grace_s=_DOWN_S)
    end_leftovers(folder)
    left = [kept.name for kept in state.children.values() if kept.alive()]
    if left or state.alive():
        complain(f"still running: {', '.join(left) or 'the supervisor'}, see {folder / 'log'}")
        raise typer.Exit(exits.FAILED)
    result({"stopped": names}, json, lambda: f"ended: {', '.join(names) or 'nothing was running any more'}")


def endpoints(state: "RunState") -> dict[str, Any]:
    """What `up` prints."""
    return {
        "kafka": state.environment.get("KAFKA_BOOTSTRAP_SERVERS"),
        "redis": state.environment.get("REDIS_URL", "as REDIS_URL says"),
        "broker": state.broker,
        "home": state.home,
        "models": str(Path(state.home) / "models"),
        "log": str(Path(state.home) / "log"),
        "workers": len(state.workers),
        "pid": state.pid,
        "phase": state.phase,
    }


def endpoint_lines(state: "RunState") -> str:
    """The same for people."""
    return table(["what", "where"], [[name, value] for name, value in endpoints(state).items()])


def _run_here(folder: Path, workers: int, json: bool) -> None:
    from evenhand.client.checkout import child_environment

    environment = child_environment()
    from adapters.supervisor import Supervisor

    told = {"message": "", "ready": ""}

    def hear(state: "RunState") -> None:
        if state.message and state.message != told["message"]:
            note(state.message)
        told["message"] = state.message
        if state.phase == "ready" and not told["ready"]:
            told["ready"] = "yes"
            result(endpoints(state), json, lambda: endpoint_lines(state))
            sys.stdout.flush()
            note("ready: end it with Ctrl-C or `evenhand down`")

    from evenhand.cli.loop import declared_topics

    Supervisor(folder, workers, environment, hear, beside=_beside(), topics=declared_topics()).run()
    if sys.stdin is not None and sys.stdin.isatty():
        say("")
    raise typer.Exit(exits.OK)


def _beside() -> dict[str, tuple[str, ...]]:
    """What runs beside the loop, and outside its group, where there is something for it to do."""
    import importlib.util

    from evenhand.cli.loop import configuration
    from evenhand.cli.notifier import configured

    commands = {
        "notifier": ("notifier",), "registry": ("models", "sync", "--follow"),
        "learner": ("models", "update", "--follow"),
    }  # fmt: skip
    _, channels = configured()
    wanted = {
        "notifier": len(channels) > 1,  # more than the log
        "registry": importlib.util.find_spec("mlflow") is not None,
        "learner": any(endpoint.learn for endpoint in configuration().models.models.values()),
    }
    if not wanted["registry"]:
        note("MLflow is not told of versions and aliases, for it is not installed: pip install 'evenhand[tracking]'")
    return {name: command for name, command in commands.items() if wanted[name]}


def _start_daemon(folder: Path, workers: int, timeout_s: float) -> "RunState":
    from evenhand.client.checkout import child_environment

    environment = child_environment()
    from adapters import processes
    from adapters.run_state import read_state

    log = folder / "log" / "supervisor.log"
    child = processes.start(
        "the supervisor", [sys.executable, "-m", "evenhand.cli", "up", "--workers", str(workers)], log=log,
        env=environment, detach=True,
    )  # fmt: skip
    give_up, said = time.monotonic() + timeout_s, ""
    try:
        while time.monotonic() < give_up:
            state = read_state(folder)
            if state is not None and state.pid == child.pid:
                if state.phase == "ready":
                    return state
                if state.message and state.message != said and state.phase == "starting":
                    note(state.message)
                    said = state.message
            if not child.alive():
                _explain_end(folder, child)
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        child.stop(_DOWN_S)
        raise
    child.stop(_DOWN_S)
    complain(f"not ready within {timeout_s:g} s, so it was ended again; see {folder / 'log'}")
    raise typer.Exit(exits.TIMEOUT)


def _explain_end(folder: Path, child: "Child") -> None:
    from adapters.run_state import read_state

    state = read_state(folder)
    if state is not None and state.pid == child.pid and state.failure:
        complain(state.message)
    else:
        complain(f"it ended while it started; {child.log} ends with:\n{child.log_tail()}")
    raise typer.Exit(child.returncode if child.returncode and child.returncode > 0 else exits.FAILED)
