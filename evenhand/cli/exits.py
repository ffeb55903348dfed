"""Exit codes, and which error leads to which.

Errors of adapters are told by the names of their classes, so that no adapter is imported only to be caught.
"""

OK = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
REFUSED = 4
TIMEOUT = 5
INTERRUPTED = 130

_CODES = {
    "Refused": REFUSED,
    "NoAnswer": TIMEOUT,
    "DependencyUnavailable": UNREACHABLE,
    "InvalidConfiguration": USAGE,
    "KafkaError": UNREACHABLE,
    "RedisError": UNREACHABLE,
    "EvenhandError": FAILED,
    "TimeoutError": TIMEOUT,
    "KeyboardInterrupt": INTERRUPTED,
}


def code_of(error: BaseException) -> int | None:
    """The exit code of an expected failure; None for one that nobody expected.

    >>> from evenhand.errors import InvalidConfiguration
    >>> code_of(InvalidConfiguration("x")), code_of(ZeroDivisionError())
    (2, None)
    """
    for kind in type(error).__mro__:
        if kind.__name__ in _CODES:
            return _CODES[kind.__name__]
    return None
