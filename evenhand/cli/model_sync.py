"""`evenhand models sync` tells MLflow which versions there are and which is champion; `page` shows what it knows."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from evenhand.cli.output import Json, note, result

if TYPE_CHECKING:
    from adapters.kafka.log_reader import LogReader
    from adapters.mlflow.tracking import Tracking

EVERY_S, SETTLED_S = 5.0, 30.0


def register(group: typer.Typer) -> None:
    """Add the commands to the group of models."""
    group.command()(sync)
    group.command()(page)


def sync(
    follow: Annotated[bool, typer.Option("--follow", help="Go on, and tell every change of an alias")] = False,
    json: Json = False,
) -> None:
    """Tell MLflow the versions of the store and the aliases that hold, and send what could not be sent before."""
    from evenhand.cli.exits import UNREACHABLE
    from evenhand.cli.following import follow as follow_log
    from evenhand.cli.models import all_aliases
    from evenhand.cli.tracking import tracking
    from evenhand.cli.worker import run_until_signal

    with tracking() as tracked:
        if tracked is None:
            raise typer.Exit(UNREACHABLE)
        registry = Registry(tracked, SETTLED_S if follow else 0.0)
        if follow:
            run_until_signal(follow_log("registry", EVERY_S, registry.look))
            return
        new = registry.tell(all_aliases(sure=True))
    told = {"registered": new, "aliases": registry.aliases, "waiting": tracked.left}
    result(told, json, lambda: f"registered {', '.join(new) or 'nothing new'}; "
           + "; ".join(f"{model}: {held}" for model, held in registry.aliases.items()))  # fmt: skip
    if tracked.left:
        raise typer.Exit(UNREACHABLE)


def page(port: Annotated[int, typer.Option(help="Of loopback")] = 5000) -> None:
    """Serve MLflow's page of this folder's runs until it is interrupted."""
    import os

    from evenhand.cli.loop import home_folder
    from evenhand.errors import InvalidConfiguration

    home = home_folder()
    from adapters.mlflow.server import server_command

    if not (home / "mlflow.db").exists():
        raise InvalidConfiguration(
            f"nothing was tracked in {home}: `evenhand train` does, unless MLFLOW_TRACKING_URI names another MLflow"
        )
    note(f"http://127.0.0.1:{port}")
    command = server_command(home, port)
    os.execv(command[0], command)  # noqa: S606  there is no shell


class Registry:
    """MLflow's registry, and what it was told of versions and aliases."""

    def __init__(self, tracked: "Tracking", settled_s: float = 0.0) -> None:
        """Leave versions alone that are younger: whoever trains them tells MLflow more, and a moment later."""
        self._tracked, self._settled_s = tracked, settled_s
        self._versions: set[tuple[str, str]] = set()
        self.aliases: dict[str, dict[str, str]] = {}

    async def look(self, reader: "LogReader") -> None:
        """Tell what the log says now."""
        import asyncio

        from adapters.loop_state import holding
        from evenhand.cli.models import aliases_by

        await asyncio.to_thread(self.tell, aliases_by(dict(await holding(reader))))

    def tell(self, held: dict[str, dict[str, str]]) -> list[str]:
        """Register the versions that it has not got, and tell the aliases that it knows otherwise; name the new ones.

        An alias of a version that is not registered yet waits for the next time.
        """
        new = self._register()
        if new:
            self._tracked.flush(self._tracked.wait_s)
        for name, now in held.items():
            self._rename(name, now)
        return new

    def _register(self) -> list[str]:
        """Each version in a run whose id follows from its digest."""
        from evenhand.cli.loop import model_store
        from evenhand.codec import stable_id
        from trainer.tracking import log_version

        store, new = model_store(), []
        every = {(name, version) for name in store.models() for version in store.versions(name)}
        for name, version in sorted(every - self._versions):
            if time.time() - store.saved_at(name, version) < self._settled_s:
                continue
            if self._tracked.registry.number(name, version) is None:
                run = stable_id("version", name, version, store.describe(name, version).digest)
                with self._tracked.start_run(f"{name} {version}", run=run, tags={"model": name}) as begun:
                    log_version(begun, store, name, version)
                new.append(f"{name}@{version}")
            self._versions.add((name, version))
        return new

    def _rename(self, name: str, now: dict[str, str]) -> None:
        from evenhand.holdings import alias_changes

        registry = self._tracked.registry
        if name not in self.aliases:
            self.aliases[name] = dict.fromkeys(registry.aliases(name), "")
        known = self.aliases[name]
        for alias, version in alias_changes(known, now):
            if version is None:
                del known[alias]
            elif registry.number(name, version) is not None:
                known[alias] = version
            else:
                continue
            self._tracked.alias(name, alias, version)
            note(f"{name}: {alias} is {version or 'nobody'}")
