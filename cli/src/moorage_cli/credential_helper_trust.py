"""Which certificate authorities are trusted: by the rule of the command's client, without what it imports.

Whoever the command can talk to, the credential helper can, and nobody else.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
from pathlib import Path

from moorage_cli.errors import CliError

# Where systems have them that the paths which OpenSSL was built with do not lead to.
_BUNDLES = (
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
)
# By such names OpenSSL finds a certificate in a folder.
_HASHED = re.compile(r"[0-9a-fA-F]{8}\.[0-9]")


def tls_context(*, insecure: bool = False) -> ssl.SSLContext:
    """What ``SSL_CERT_FILE`` names, else what ``SSL_CERT_DIR`` does, else what the system trusts; with
    ``insecure``, anybody.

    Raises:
        CliError: a variable names what holds no certificates.
    """
    if insecure:
        careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        careless.check_hostname = False
        careless.verify_mode = ssl.CERT_NONE
        return careless
    if file := os.environ.get("SSL_CERT_FILE"):
        try:
            return ssl.create_default_context(cafile=file)
        except OSError as error:
            raise CliError(
                f"SSL_CERT_FILE names {file}, in which there are no certificates", "correct it, or unset it"
            ) from error
    if folder := os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context(capath=folder)
    if sys.platform in {"darwin", "win32"}:
        import truststore  # noqa: PLC0415 - elsewhere it is not needed

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return _with_authorities_of_openssl()


def _with_authorities_of_openssl() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    paths = ssl.get_default_verify_paths()
    file = paths.openssl_cafile if Path(paths.openssl_cafile).is_file() else None
    folder = paths.openssl_capath if Path(paths.openssl_capath).is_dir() else None
    if folder and not file and not any(_HASHED.fullmatch(each.name) for each in Path(folder).iterdir()):
        folder = None
    if not file and not folder:
        file = next((each for each in _BUNDLES if Path(each).is_file()), None)
    if file or folder:
        context.load_verify_locations(file, folder)
    return context
