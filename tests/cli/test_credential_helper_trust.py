"""Whose certificates the credential helper accepts: those that the command does."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import truststore

from moorage_cli import credential_helper_trust
from moorage_cli.credential_helper_trust import tls_context
from moorage_cli.errors import CliError
from tests.certificates import self_signed

NOWHERE = "/nonexistent"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def openssl_looks_in(monkeypatch: pytest.MonkeyPatch, file: str | Path, folder: str | Path) -> None:
    paths = SimpleNamespace(openssl_cafile=str(file), openssl_capath=str(folder))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)


def rule(context: ssl.SSLContext) -> Mapping[str, Any]:
    return {
        "authorities": sorted(str(each) for each in context.get_ca_certs()),
        "flags": context.verify_flags,
        "mode": context.verify_mode,
        "host": context.check_hostname,
        "oldest": context.minimum_version,
    }


def number(context: ssl.SSLContext) -> int:
    return len(context.get_ca_certs())


def test_rule_is_that_of_the_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    certificate = self_signed(tmp_path)
    assert rule(tls_context()) == rule(httpx2.create_ssl_context())
    assert rule(tls_context(insecure=True)) == rule(httpx2.create_ssl_context(verify=False))
    for name, value in (("SSL_CERT_FILE", certificate), ("SSL_CERT_DIR", tmp_path)):
        monkeypatch.setenv(name, str(value))
        assert rule(tls_context()) == rule(httpx2.create_ssl_context())
        monkeypatch.delenv(name)
    for paths in ((certificate, NOWHERE), (NOWHERE, tmp_path), (NOWHERE, NOWHERE)):
        openssl_looks_in(monkeypatch, *paths)
        assert rule(tls_context()) == rule(httpx2.create_ssl_context())


def test_paths_that_openssl_was_built_with_lead_to_the_authorities(monkeypatch: Any, tmp_path: Path):
    openssl_looks_in(monkeypatch, self_signed(tmp_path), NOWHERE)
    assert number(tls_context()) == 1


def test_where_these_lead_nowhere_the_systems_bundle_is_found(monkeypatch: Any, tmp_path: Path):
    certificate = self_signed(tmp_path)
    # There is a folder, but no name in it by which OpenSSL would find anything.
    openssl_looks_in(monkeypatch, NOWHERE, tmp_path)
    monkeypatch.setattr(credential_helper_trust, "_BUNDLES", (NOWHERE, str(certificate)))
    assert number(tls_context()) == 1
    monkeypatch.setattr(credential_helper_trust, "_BUNDLES", (NOWHERE,))
    assert number(tls_context()) == 0


def test_bundles_are_those_of_the_client():
    from httpcore2 import _ssl  # noqa: PLC0415 - it has them under no other name

    assert list(credential_helper_trust._BUNDLES) == _ssl.CA_FILE_CANDIDATES


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_systems_with_a_store_of_their_own_are_asked(monkeypatch: pytest.MonkeyPatch, platform: str):
    monkeypatch.setattr(sys, "platform", platform)
    assert isinstance(tls_context(), truststore.SSLContext)


def test_variable_that_names_no_certificates_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "empty.pem").touch()
    for file in (tmp_path / "gone.pem", tmp_path / "empty.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with pytest.raises(CliError) as raised:
            tls_context()
        said = f"SSL_CERT_FILE names {file}, in which there are no certificates; correct it, or unset it"
        assert raised.value.line == said
