"""A Redis of our own: on loopback, gone with its parent, and nothing on disk unless asked."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters import processes
from adapters.errors import DependencyUnavailable, InvalidSetting
from adapters.redis import async_redis_client, find_server, redis_client, start_redis

pytestmark = pytest.mark.timeout(60)
PARENT = """
import sys, time
from pathlib import Path
from adapters.redis import start_redis
print(start_redis(Path(sys.argv[1])).pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def no_redis_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)


async def test_it_keeps_values_until_they_expire(var: Path) -> None:
    server = start_redis(var)
    try:
        assert server.alive()
        assert server.environment() == {"REDIS_URL": server.url}
        client = redis_client(server.url)
        assert client.set("lock", b"me", nx=True, px=200)
        assert client.set("lock", b"you", nx=True) is None
        assert client.get("lock") == b"me"
        await asyncio.sleep(0.4)
        assert client.get("lock") is None
        other = async_redis_client(server.url)
        assert await other.ping()
        await other.aclose()
    finally:
        server.stop()
    assert not server.alive()


def test_it_listens_on_this_machine_only(var: Path) -> None:
    server = start_redis(var)
    port = int(server.url.rpartition(":")[2].partition("/")[0])
    try:
        address = socket.gethostbyname(socket.gethostname())
        if not address.startswith("127."):
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((address, port), 1).close()
        assert redis_client(server.url).config_get("bind")["bind"] == "127.0.0.1"
    finally:
        server.stop()


@pytest.mark.parametrize("persist", [False, True])
def test_values_survive_a_restart_only_if_asked(var: Path, *, persist: bool) -> None:
    for found in (None, b"1" if persist else None):
        server = start_redis(var, persist=persist)
        client = redis_client(server.url)
        assert client.get("k") == found
        client.set("k", "1")
        server.stop()
    if not persist:
        assert list((var / "redis").iterdir()) == []


def test_it_dies_with_its_parent(var: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(var)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert processes.running(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate(timeout=5)
    give_up = time.monotonic() + 10
    while processes.running(pid):
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_redis_url_is_used_if_it_answers(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_redis(var)
    monkeypatch.setenv("REDIS_URL", server.url)
    same = start_redis(var)
    assert (same.name, same.url, same.pid) == ("external", server.url, None)
    same.stop()
    assert server.alive()
    server.stop()
    with pytest.raises(DependencyUnavailable, match=f"REDIS_URL={server.url}"):
        start_redis(var)


def test_a_wrong_password_is_named_and_not_shown(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_redis(var)
    redis_client(server.url).config_set("requirepass", "right-canary")
    place = server.url.removeprefix("redis://")
    try:
        monkeypatch.setenv("REDIS_URL", f"redis://:wrong-canary@{place}")
        with pytest.raises(InvalidSetting, match=r"REDIS_URL=redis://\*\*\*@127.*refuses") as raised:
            start_redis(var)
        assert "canary" not in str(raised.value)
        monkeypatch.setenv("REDIS_URL", f"redis://:right-canary@{place}")
        assert start_redis(var).alive()
    finally:
        server.stop()


def test_a_url_of_something_else_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="REDIS_URL=http://"):
        redis_client("http://localhost")


def test_a_server_is_found_here() -> None:
    assert os.access(find_server(), os.X_OK)
