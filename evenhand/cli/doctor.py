"""`evenhand doctor`: everything that must be right, checked one by one, and what to do where it is not."""

import asyncio
import importlib.metadata
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import typer

from evenhand.cli import exits
from evenhand.cli.output import Json, result, table

_PACKAGES = ("aiokafka", "faust-streaming", "lightgbm", "msgspec", "numpy", "polars", "redis")


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    code: int = exits.OK


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(json: Json = False) -> None:
    """Look at everything that evenhand needs; what is wrong is named with what to do about it."""
    checks = [
        _check(name, look)
        for name, look in (
            ("python", _python), ("packages", _packages), ("checkout", _checkout), ("home", _home),
            ("configuration", _configuration), ("models", _models), ("redis", _redis), ("broker", _broker),
            ("topics", _topics), ("loop", _loop),
        )
    ]  # fmt: skip
    result(
        [each._asdict() for each in checks], json,
        lambda: table(
            ["check", "", "detail"], [[each.name, "ok" if each.ok else "WRONG", each.detail] for each in checks]
        ),
    )  # fmt: skip
    failed = [each.code for each in checks if not each.ok]
    if failed:
        raise typer.Exit(exits.UNREACHABLE if exits.UNREACHABLE in failed else exits.FAILED)


def _check(name: str, look: Callable[[], str]) -> Check:
    from evenhand.errors import EvenhandError

    try:
        return Check(name, True, look())
    except EvenhandError as error:
        return Check(name, False, str(error), exits.code_of(error) or exits.FAILED)
    except Exception as error:  # noqa: BLE001 - whatever is wrong is a finding, and the next check goes on
        code = exits.code_of(error)
        return Check(name, False, f"{type(error).__name__}: {error}", code or exits.FAILED)


def _wrong(reason: str) -> Exception:
    from evenhand.errors import EvenhandError

    return EvenhandError(reason)


def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 - a checkout may be run with any Python
        raise _wrong(f"this is Python {version}: use 3.11 or later")
    return f"{version} on {sys.platform}"


def _packages() -> str:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            raise _wrong(f"{name} is not installed: make install, or pip install {name}") from None
    return ", ".join(found)


def _checkout() -> str:
    from evenhand.client.checkout import root

    folder = root()
    import agents

    if folder not in [
        parent for path in agents.__path__ for parent in [folder.__class__(path), *folder.__class__(path).parents]
    ]:
        raise _wrong(f"`agents` is another package, {list(agents.__path__)}: set PYTHONPATH={folder}")
    return str(folder)


def _home() -> str:
    from evenhand.cli.loop import home_folder

    folder = home_folder()
    place = folder
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        raise _wrong(f"{place} cannot be written: set EVENHAND_HOME to a folder that can")
    return str(folder)


def _configuration() -> str:
    from evenhand.cli.loop import configuration

    declared = configuration()
    experiments = ", ".join(each.name for each in declared.experiments.experiments) or "none"
    return f"{declared.folder}: models {', '.join(declared.models.models)}; experiments {experiments}"


def _models() -> str:
    from evenhand.cli.loop import configuration, model_store

    store, missing, there = model_store(), [], []
    for name, endpoint in configuration().models.models.items():
        saved = store.versions(name)
        for version in saved:
            store.describe(name, version)
        missing += [f"{name} {each.version}" for each in endpoint.versions if each.version not in saved]
        there += [f"{name} {version}" for version in saved]
    if missing:
        raise _wrong(
            f"{', '.join(missing)}: not trained yet; `evenhand models train` does it, and so does `evenhand up`"
        )
    return ", ".join(there)


def _redis() -> str:
    from evenhand.cli.loop import home_folder

    folder = home_folder()
    from adapters.redis import find_server, redis_client, without_password
    from adapters.run_state import running_state

    state = running_state(folder)
    url = os.environ.get("REDIS_URL") or (state.environment.get("REDIS_URL") if state else None)
    if url is None:
        return f"none runs; `evenhand up` starts {find_server()}"
    redis_client(url).ping()
    return without_password(url)


def _broker() -> str:
    from evenhand.client.connection import kafka_settings

    settings = kafka_settings()
    from adapters.kafka.connection import check_connection

    asyncio.run(check_connection(settings))
    lacks = ", ".join(settings.capabilities.lacking())
    return f"{settings.bootstrap_servers} answers" + (f"; it lacks {lacks}" if lacks else "")


def _topics() -> str:
    from evenhand.cli.loop import declared_topics, open_log

    async def look() -> str:
        async with open_log() as (settings, reader):
            from adapters.kafka.topics import ensure_topics

            every = declared_topics()
            await reader.places(*(topic.name for topic in every))  # raises where one is missing: nothing is created
            await ensure_topics(settings, every)
            return f"{len(every)}, all as they must be"

    return asyncio.run(look())


def _loop() -> str:
    from evenhand.cli.loop import open_log

    async def look() -> tuple[int, int, Any]:
        async with open_log() as (settings, reader):
            from adapters.clock import now_ms
            from adapters.loop_state import progress
            from agents.clock import TICKED, last_tick

            at = await progress(settings, reader)
            tick = await last_tick(reader, await reader.places(*TICKED))
            return sum(each.lag for each in at.values()), now_ms(), tick

    lag, now, tick = asyncio.run(look())
    if tick < 0:
        raise _wrong("no tick stands in the log: run `evenhand clock`, or `evenhand up`, which runs it")
    if now - tick > 10_000:
        raise _wrong(f"the last tick is {(now - tick) // 1000} s old: is `evenhand clock` running?")
    return f"the clock ticks; {lag} records wait"
