"""Servers of channels that fail as real ones do, and keep what they were told by its idempotency key."""

import asyncio
import json
import random
import threading
from collections import defaultdict
from email import message_from_bytes
from typing import Any

from aiohttp import web
from aiosmtpd.controller import Controller


class Web:
    """Slack at /slack (500, 429, or no answer to the end), and a webhook at /hook that sometimes takes a minute."""

    def __init__(self, port: int, seed: int = 1) -> None:
        self.port, self._random = port, random.Random(seed)
        self.taken: dict[str, dict[str, set[str]]] = {"slack": defaultdict(set), "webhook": defaultdict(set)}
        self.refused = self.hung = 0
        self.is_dead = self.is_stuck = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result(30)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _begin(self) -> None:
        app = web.Application()
        app.router.add_post("/slack", self._slack)
        app.router.add_post("/hook", self._hook)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _end(self) -> None:
        await self._runner.cleanup()

    async def _slack(self, request: web.Request) -> web.Response:
        body = await request.json()
        chance = self._random.random()
        if self.is_dead or chance < 0.2:
            self.refused += 1
            return web.Response(status=500 if chance < 0.1 else 429, headers={"Retry-After": "1"})
        shown = body["blocks"][-1]["elements"][0]["text"].rpartition("id ")[2]
        self.taken["slack"][shown].add(request.headers["Idempotency-Key"])
        return web.Response(text="ok")

    async def _hook(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = json.loads(await request.read())
        key = request.headers["Idempotency-Key"]
        if self.is_stuck or self._random.random() < 0.01:
            self.hung += 1
            await asyncio.sleep(60)
        self.taken["webhook"][body["alerts"][0]["labels"]["number"]].add(key)
        return web.Response(text="ok")


class Mail:
    """A mail server that drops one connection in ten, and puts off another."""

    def __init__(self, port: int, seed: int = 2) -> None:
        self._random = random.Random(seed)
        self.taken: dict[str, set[str]] = defaultdict(set)
        self.dropped, self.is_dead = 0, False
        self.controller = Controller(self, hostname="127.0.0.1", port=port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        chance = self._random.random()
        if self.is_dead or chance < 0.2:
            self.dropped += 1
            if chance < 0.1:
                server.transport.close()
            return "451 later"
        mail = message_from_bytes(envelope.content)
        self.taken[str(mail["X-Evenhand-Alert"])].add(str(mail["Message-ID"]))
        return "250 OK"
