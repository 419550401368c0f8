"""How a client proves who it is to Kafka, and checks who answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pipelines.errors import SettingsError

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class Security:
    """Settings of a connection; the secrets come from the environment and are never printed.

    Raises
    ------
    SettingsError
        An unknown protocol or mechanism, or SASL without a user or password.
    """

    protocol: str = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    mechanism: str = "SCRAM-SHA-512"
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    """Certificates of who may sign that of a broker, PEM; None: those of the system."""
    cert_file: str | None = None
    key_file: str | None = None
    """This client's own certificate and key, PEM, where the broker asks for them."""
    key_password: str | None = field(default=None, repr=False)
    check_hostname: bool = True

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise SettingsError(f"kafka protocol {self.protocol!r}: must be one of {', '.join(PROTOCOLS)}")
        if not self.sasl:
            return
        if self.mechanism not in MECHANISMS:
            raise SettingsError(f"kafka mechanism {self.mechanism!r}: must be one of {', '.join(MECHANISMS)}")
        if not self.username or not self.password:
            raise SettingsError(f"kafka protocol {self.protocol} needs a username and a password")

    @property
    def sasl(self) -> bool:
        return self.protocol.startswith("SASL")

    @property
    def ssl(self) -> bool:
        return self.protocol.endswith("SSL")
