"""One Kafka request by hand, ApiVersions: the cheapest question that only a broker which is ready answers."""

import socket
import struct
from collections.abc import Iterator

_API_VERSIONS = 18
_CORRELATION = 7
_HEADER = struct.Struct(">ihi")
_LIMIT = 1 << 16


def addresses(bootstrap: str) -> Iterator[tuple[str, int]]:
    """Take a bootstrap list apart.

    >>> list(addresses("localhost:9092, [::1]:19092"))
    [('localhost', 9092), ('::1', 19092)]
    """
    for part in bootstrap.split(","):
        address = part.strip().rpartition("://")[2]
        if not address:
            continue
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f"{address!r} is not HOST:PORT")
        yield host.strip("[]"), int(port)


def api_keys(host: str, port: int, *, timeout_s: float = 1.0) -> frozenset[int]:
    """The requests that the broker knows, by number. Raises OSError if no broker answers there."""
    question = struct.pack(">hhih", _API_VERSIONS, 0, _CORRELATION, -1)
    with socket.create_connection((host, port), timeout_s) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(struct.pack(">i", len(question)) + question)
        (size,) = struct.unpack(">i", _read(connection, 4))
        if not _HEADER.size <= size <= _LIMIT:
            raise ConnectionError(f"{host}:{port} does not speak Kafka")
        answer = _read(connection, size)
    correlation, error, count = _HEADER.unpack_from(answer)
    if correlation != _CORRELATION or error or count * 6 > size - _HEADER.size:
        raise ConnectionError(f"{host}:{port} does not speak Kafka")
    rows = struct.iter_unpack(">hhh", answer[_HEADER.size : _HEADER.size + 6 * count])
    return frozenset(row[0] for row in rows)


def _read(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionError("the connection closed before the answer was complete")
        parts += part
    return bytes(parts)
