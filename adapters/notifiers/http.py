"""A POST that cannot be turned against our own network.

The name is resolved once and each address is checked; the connection goes to a checked address, with the name for TLS.
No redirects, no proxies, no cookies; a deadline over all, and at most 64 KiB of the answer are read.
"""

import asyncio
import socket
from ipaddress import ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from adapters.notifiers.base import DeliveryFailed

MAX_ANSWER_BYTES = 65_536
PORTS = frozenset({443, 8443})


def is_public(address: str) -> bool:
    """Whether an address is one of the internet; an IPv4 address within an IPv6 one is what counts.

    >>> [is_public(one) for one in ("1.1.1.1", "127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "64:ff9b::a00:1")]
    [True, False, False, False, False]
    """
    found = ip_address(address.split("%", maxsplit=1)[0])
    if found.version == 6:
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found.sixtofour is not None or found.teredo is not None or found.is_site_local:
            return False
        if address.startswith("64:ff9b:"):
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved


class CheckedResolver(AbstractResolver):
    """The system's resolver, or a test's; a name with any private address is refused whole."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def lookup(self, host: str, port: int) -> list[str]:
        """The addresses of a name."""
        loop = asyncio.get_running_loop()
        return [str(info[4][0]) for info in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)]

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self.lookup(host, port)
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise DeliveryFailed("the host has a private address: allow it by name if that is meant", again=False)
        return [
            ResolveResult(
                hostname=host, host=address, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            )
            for address in addresses
        ]  # fmt: skip

    async def close(self) -> None:
        return


async def post(
    url: str,
    body: bytes,
    headers: dict[str, str],
    *,
    channel: str,
    allow_private: bool = False,
    deadline_s: float = 5.0,
    resolver: CheckedResolver | None = None,
) -> None:
    """Send a body; DeliveryFailed unless the answer is 2xx. 429 and 5xx are worth another try, other 4xx are not."""
    try:
        target = URL(url)
    except ValueError:  # its words may hold the URL
        raise DeliveryFailed(f"{channel}: the URL cannot be read: write https://host/path", again=False) from None
    host = target.host or ""
    if target.user or target.password or not host or target.scheme not in {"https", "http"}:
        raise DeliveryFailed(f"{channel}: the URL is not https://host/path without credentials", again=False)
    if not allow_private:
        if target.scheme != "https" or target.port not in PORTS:
            raise DeliveryFailed(f"{channel}: only https on port 443 or 8443 is allowed", again=False)
        if _is_literal(host) and not is_public(host):
            raise DeliveryFailed(f"{channel}: the address is private: allow it by name if that is meant", again=False)
    connector = aiohttp.TCPConnector(
        resolver=resolver or CheckedResolver(allow_private=allow_private), force_close=True, use_dns_cache=False
    )
    timeout = aiohttp.ClientTimeout(total=deadline_s)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(target, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            await answer.content.read(MAX_ANSWER_BYTES)
            status, after = answer.status, answer.headers.get("Retry-After", "")
    except aiohttp.InvalidURL:  # such as 127.1 or 2130706433, which some resolvers take for an address
        raise DeliveryFailed(f"{channel}: the URL names no host", again=False) from None
    except TimeoutError:
        raise DeliveryFailed(f"{channel}: no answer within {deadline_s:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise DeliveryFailed(f"{channel}: no connection ({type(error).__name__})") from None
    if not 200 <= status < 300:
        again = status == 429 or status >= 500
        after_s = min(float(after), 300.0) if after.isdecimal() else 0.0
        raise DeliveryFailed(f"{channel}: answered {status}", again=again, after_s=after_s)


def _is_literal(host: str) -> bool:
    try:
        ip_address(host.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    return True
