"""A headless Chromium, driven by its own protocol: go somewhere, wait until something is there to read, look at it."""

import asyncio
import base64
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from adapters.processes import start

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WAITS_S = 90.0


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    async def call(self, method: str, **parameters: Any) -> Any:
        """One call of the protocol."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(WAITS_S):
            async for message in self._socket:
                answer = message.json()
                if answer.get("id") == number:
                    assert "error" not in answer, answer
                    return answer["result"]
        raise AssertionError("Chromium has gone")

    async def goto(self, url: str) -> None:
        """Open a page."""
        await self.call("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """Run a script in the page; its value."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    async def text(self) -> str:
        """What a reader sees."""
        return str(await self.run("document.body ? document.body.innerText : ''"))

    async def wait_for(self, *words: str) -> str:
        """Wait until all of these words can be read; what can be read then."""
        text = ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAITS_S):
                while True:
                    text = await self.text()
                    if all(word in text for word in words):
                        return text
                    await asyncio.sleep(0.2)
        missing = [word for word in words if word not in text]
        raise AssertionError(f"the page never showed {missing}; it shows:\n{text[:4000]}")

    async def wait_until(self, script: str) -> None:
        """Wait until a script's value is true."""
        async with asyncio.timeout(WAITS_S):
            while not await self.run(script):
                await asyncio.sleep(0.2)

    async def screenshot(self) -> bytes:
        """What it looks like, as PNG."""
        answer = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(answer["data"])


@contextlib.asynccontextmanager
async def open_page(width: int = 1500, height: int = 1100) -> AsyncIterator[Page]:
    """A tab of a Chromium of its own, which ends with the block."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        profile = Path(folder) / "profile"
        flags = ("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-dev-shm-usage")
        options = [*flags, "remote-debugging-port=0", f"user-data-dir={profile}", f"window-size={width},{height}"]
        argv = [CHROMIUM, *(f"--{option}" for option in options), "about:blank"]
        child = start("chromium", argv, log=Path(folder) / "chromium.log")
        try:
            async with asyncio.timeout(WAITS_S):
                while not (profile / "DevToolsActivePort").exists():
                    assert child.alive(), child.log_tail()
                    await asyncio.sleep(0.1)
            port = (profile / "DevToolsActivePort").read_text().splitlines()[0]
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    (tab,) = [one for one in await answer.json() if one["type"] == "page"]
                async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            child.kill()
