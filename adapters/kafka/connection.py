"""One connection, made to find out why there would be none: clients only say that they could not connect."""

import asyncio
import ssl

from aiokafka.conn import create_conn
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from adapters.errors import DependencyUnavailable, InvalidSetting
from adapters.kafka import wire
from adapters.kafka.settings import KafkaSettings

_TIMEOUT_S = 10.0


async def check_connection(settings: KafkaSettings, *, timeout_s: float = _TIMEOUT_S) -> None:
    """Connect and log in at the first broker that answers. Raises with the name of the setting at fault."""
    kwargs = settings.client_kwargs()
    del kwargs["bootstrap_servers"]
    last: Exception = ConnectionError("no address")
    for host, port in wire.addresses(settings.bootstrap_servers):
        try:
            async with asyncio.timeout(timeout_s):
                connection = await create_conn(host, port, request_timeout_ms=int(timeout_s * 1000), **kwargs)
                try:  # a broker that wants a password answers the first question without one, and no other
                    await connection.send(MetadataRequest([]))
                finally:
                    connection.close()
        except (OSError, KafkaError, TimeoutError) as error:
            if (fault := _fault(settings, f"{host}:{port}", error)) is not None:
                raise fault from error
            last = error
        else:
            return
    raise DependencyUnavailable(
        f"no broker answers at KAFKA_BOOTSTRAP_SERVERS={settings.bootstrap_servers} with "
        f"KAFKA_SECURITY_PROTOCOL={settings.security_protocol} ({_cause(last)}): start it, or correct the settings"
    ) from last


def _fault(settings: KafkaSettings, place: str, error: BaseException) -> InvalidSetting | None:
    """The setting that explains the error, if one does."""
    cause = _cause(error)
    if isinstance(cause, SaslAuthenticationFailed):
        return InvalidSetting(
            f"{place} refuses KAFKA_SASL_USERNAME={settings.sasl_username} with the KAFKA_SASL_PASSWORD that is set "
            f"(KAFKA_SASL_MECHANISM={settings.sasl_mechanism}): correct them"
        )
    if isinstance(cause, UnsupportedSaslMechanismError):
        return InvalidSetting(
            f"{place} does not take KAFKA_SASL_MECHANISM={settings.sasl_mechanism}: write one that it does"
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        another_host = "ostname" in str(cause) or "IP address" in str(cause)
        name = "KAFKA_BOOTSTRAP_SERVERS" if another_host else "KAFKA_SSL_CAFILE"
        return InvalidSetting(f"the certificate of {place} is not trusted: {cause.verify_message}: correct {name}")
    if isinstance(cause, ssl.SSLError):
        return InvalidSetting(
            f"{place} does not speak TLS as KAFKA_SECURITY_PROTOCOL={settings.security_protocol} says, or asks for a "
            f"certificate (KAFKA_SSL_CERTFILE): {cause.reason or cause}"
        )
    return None


def _cause(error: BaseException) -> BaseException:
    """The error under aiokafka's wrapping."""
    while isinstance(error, KafkaConnectionError) and (error.__cause__ or error.__context__) is not None:
        error = error.__cause__ or error.__context__ or error
    return error
