"""An issuer on the loopback interface, with a certificate of a CA of its own, that answers whatever a test wants."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST, KEYS_HOST, OTHER_HOST = "issuer.example.com", "keys.example.com", "other.example.com"
ISSUER = f"https://{HOST}/tenant"
CONFIGURATION = "/tenant/.well-known/openid-configuration"
KEYS = "/keys"

Answer = bytes | Callable[[ssl.SSLSocket], None]


def http(content: Any, status: int = 200, kind: str | None = "application/json", **headers: str) -> bytes:
    """An answer with ``content`` as its body: bytes as they are, anything else as JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    fields = {"Content-Length": str(len(body)), **({"Content-Type": kind} if kind else {})}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode() + body


class IssuerServer:
    """Answers by path; counts connections, and keeps the requests that were read."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint: tuple[str, int] = self._listener.getsockname()[:2]
        self.answers: dict[str, Answer] = {}
        self.connections = 0
        self.requests: list[bytes] = []
        self.ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def publish(
        self, configuration: Mapping[str, Any] | None = None, keys: Any = None, **headers: Any
    ) -> None:
        """Answer as an issuer should."""
        self.answers[CONFIGURATION] = http(
            configuration or {"issuer": ISSUER, "jwks_uri": f"https://{KEYS_HOST}{KEYS}"}
        )
        self.answers[KEYS] = http({"keys": []} if keys is None else keys, **headers)

    def close(self) -> None:
        self.ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain:
            if self._context is None:
                # Accepts, and then says nothing.
                self.ended.wait(30)
                return
            with self._context.wrap_socket(plain, server_side=True) as connection:
                request = b""
                while b"\r\n\r\n" not in request and (more := connection.recv(4096)):
                    request += more
                if not request:
                    return
                self.requests.append(request)
                answer = self.answers.get(request.split(b" ")[1].decode(), http({}, 404))
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)
                connection.unwrap()


def trickling(beginning: bytes, drop: bytes) -> Answer:
    """Sends ``beginning``, and then ``drop`` again and again, so that something always comes."""

    def send(connection: ssl.SSLSocket) -> None:
        connection.sendall(beginning)
        pause = threading.Event()
        for _ in range(600):
            pause.wait(0.05)
            connection.sendall(drop)

    return send


class Authority:
    """A CA, and contexts for servers with its certificates and for clients that believe it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        self._certificate = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0))

    def client(self) -> ssl.SSLContext:
        """What believes this CA and no other."""
        pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)

    def server(self, *names: str, age: timedelta = timedelta(hours=1)) -> ssl.SSLContext:
        """A server's context for hosts of these names, whose certificate is ``age`` old and lives for a day."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        certificate = self._sign(x509.Name([]), key, alternatives, age=age)
        path = self._folder / f"{'-'.join(names)}-{age.total_seconds()}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        age: timedelta = timedelta(hours=1),
    ) -> x509.Certificate:
        begins = datetime.now(UTC) - age
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=1))
            .add_extension(extension, critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if isinstance(extension, x509.BasicConstraints):
            builder = builder.add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=True,
                    crl_sign=True,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        return builder.sign(self._key, hashes.SHA256())


@contextmanager
def issuer_server(context: ssl.SSLContext | None) -> Iterator[IssuerServer]:
    """A server that runs until the block ends; without a context it accepts connections and never speaks."""
    server = IssuerServer(context)
    try:
        yield server
    finally:
        server.close()
