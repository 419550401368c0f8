"""Why a broker lets nobody in, which the client only logs: it tries again, and reports that time is over."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Final

from pipelines.log.kafka.client import errors
from pipelines.log.security import Security

_REFUSALS: Final = (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)
_LOGGER: Final = logging.getLogger("kafka.net.manager")
# A broker that stops hangs up once; one that refuses a user does so at every attempt.
_HUNG_UP_OFTEN: Final = 3


class _Ear(logging.Handler):
    """Keeps the last refusal that is logged, and counts how often a broker hung up."""

    heard: BaseException | None = None
    hung_up: int = 0

    def emit(self, record: logging.LogRecord) -> None:
        for given in record.args if isinstance(record.args, tuple) else ():
            if isinstance(given, BaseException) and isinstance(given, _REFUSALS):
                self.heard = given
            self.hung_up += isinstance(given, errors.KafkaConnectionError)


@contextlib.contextmanager
def hearing_refusals(security: Security | None) -> Iterator[None]:
    """Raise, where a client cannot be opened, the refusal of the broker instead of a timeout.

    Over TLS the client mostly misses the answer, for the broker hangs up right behind it.
    """
    ear = _Ear(logging.WARNING)
    _LOGGER.addHandler(ear)
    try:
        yield
    except errors.KafkaError as error:
        if ear.heard is not None:
            raise ear.heard from error
        if security is not None and security.sasl and ear.hung_up >= _HUNG_UP_OFTEN:
            said = f"it hung up {ear.hung_up} times at the login"
            raise errors.SaslAuthenticationFailedError(said) from error
        raise
    finally:
        _LOGGER.removeHandler(ear)
