"""Where the scheduler of a farm is, and what encrypts the way to it."""

from __future__ import annotations

import os
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from distributed import Security

from opclock.errors import FarmError

PORT = 8786
VARIABLE, TLS_VARIABLE = "OPCLOCK_FARM", "OPCLOCK_FARM_TLS"  # of the environment
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
CERTIFICATE, KEY = "cert.pem", "key.pem"
MAKE_TLS = (
    "openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj /CN=opclock-farm "
    f"-keyout {KEY} -out {CERTIFICATE}"
)  # fmt: skip


@dataclass(frozen=True)
class Address:
    """Where a scheduler is."""

    url: str  # tcp://HOST:PORT or tls://HOST:PORT
    tls: Path | None = None  # folder with the certificate and its key, the same for all who take part

    @staticmethod
    def of(text: str | None = None, tls: Path | None = None) -> Address:
        """The address that the user means.

        Args:
            text: HOST, HOST:PORT or a URL; None: that of $OPCLOCK_FARM, or this machine's.
            tls: folder with the certificate; None: that of $OPCLOCK_FARM_TLS, or no encryption.

        Raises:
            FarmError: it is no address, or contradicts the folder.
        """
        text = text or os.environ.get(VARIABLE) or LOOPBACK[0]
        folder = tls or (Path(os.environ[TLS_VARIABLE]) if os.environ.get(TLS_VARIABLE) else None)
        scheme, _, rest = text.rpartition("://")
        wanted = "tcp" if folder is None else "tls"
        try:
            parts = urlsplit(f"//{rest}")
            host, port = parts.hostname, parts.port or PORT
        except ValueError:
            host, port = None, 0
        if not host or scheme not in ("", "tcp", "tls"):
            raise FarmError(f"no address {text!r}: write tcp://HOST:{PORT}, or tls://HOST:{PORT} with a certificate")
        if scheme == "tls" and folder is None:
            raise FarmError(f"{text} is encrypted: name the folder with its certificate by ${TLS_VARIABLE}")
        host = f"[{host}]" if ":" in host else host
        return Address(f"{wanted}://{host}:{port}", folder)

    def check(self) -> None:
        """Raise FarmError where the folder lacks a file."""
        _ = self.security

    @property
    def danger(self) -> str:
        """What others could do; "" where none reaches it, or all need the certificate."""
        return exposed(urlsplit(self.url).hostname or "", self.tls)

    @property
    def security(self) -> Security:
        """What dask needs to encrypt. Raises FarmError where the folder lacks a file."""
        return Security() if self.tls is None else security_of(self.tls)


def security_of(folder: Path) -> Security:
    """Encryption by one certificate that all who take part hold: who lacks it is refused.

    Raises FarmError where the folder lacks the certificate or its key, they are none, or the certificate has expired.
    """
    for path in (folder / CERTIFICATE, folder / KEY):
        if not path.is_file():
            raise FarmError(f"{folder} lacks {path.name}: make both once in it, and copy the folder: {MAKE_TLS}")
    certificate, key = str(folder / CERTIFICATE), str(folder / KEY)
    try:
        context = ssl.create_default_context(cafile=certificate)
        context.load_cert_chain(certificate, key, password=lambda: "")  # a board asks nobody for a password
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise FarmError(
            f"{folder}: {CERTIFICATE} and {KEY} are no certificate and its key without a password ({reason}): make "
            f"both once: {MAKE_TLS}"
        ) from error
    for one in context.get_ca_certs():
        if ssl.cert_time_to_seconds(end := str(one["notAfter"])) < time.time():
            raise FarmError(
                f"{folder}: {CERTIFICATE} has expired ({end}): make it anew, and copy the folder: {MAKE_TLS}"
            )
    named = {f"tls_{role}_{what}": path for role in ("scheduler", "worker", "client")
             for what, path in (("cert", certificate), ("key", key))}  # fmt: skip
    return Security(tls_ca_file=certificate, require_encryption=True, **named)


def exposed(host: str, tls: Path | None) -> str:
    """What others could do with a scheduler at this host that does not ask who they are; "" where none reaches it."""
    return "" if host in LOOPBACK or tls else "whoever reaches it can run any program on the boards"


def check_exposed(host: str, tls: Path | None, *, insecure: bool) -> None:
    """Raise FarmError where others could reach a scheduler that does not ask who they are."""
    if (danger := exposed(host, tls)) and not insecure:
        raise FarmError(f"--host {host}: {danger}: give --tls FOLDER with a certificate, or --insecure in a network "
                        "that you trust")  # fmt: skip
