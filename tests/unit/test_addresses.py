"""Hosts and names, and the repository that both mean."""

import pytest

from moorage.domain.addresses import Address
from moorage.domain.errors import NameInvalid
from moorage.domain.names import Repository

DOMAIN = "registry.example"


@pytest.mark.parametrize(
    ("host", "organisation"),
    [
        ("demo.registry.example", "demo"),
        ("demo.registry.example:5000", "demo"),
        ("DEMO.Registry.Example", "demo"),
        ("registry.example", None),
        ("registry.example:443", None),
        ("abc123.execute-api.eu-west-1.amazonaws.com", None),
        ("demoregistry.example", None),
        ("registry.example.evil.test", None),
        ("127.0.0.1:5000", None),
        ("[::1]:5000", None),
        ("[::1]", None),
    ],
)
def test_a_host_below_the_domain_is_an_organisations(host, organisation):
    assert Address.parse(host, DOMAIN).organisation == organisation


@pytest.mark.parametrize(
    "host", ["a.b.registry.example", ".registry.example", "a.registry.example", "_x.registry.example"]
)
def test_a_host_below_the_domain_that_names_no_organisation_is_refused(host):
    with pytest.raises(NameInvalid):
        Address.parse(host, DOMAIN)


def test_without_a_domain_no_host_is_an_organisations():
    assert Address.parse("demo.registry.example", None).organisation is None


def test_both_forms_of_a_name_mean_one_repository_and_are_read_back_as_they_were_written():
    own, shared = Address("demo.registry.example", "demo"), Address("registry.example")
    repository = Repository("demo", "team/app")
    assert own.repository("team/app") == shared.repository("demo/team/app") == repository
    assert own.name_of(repository) == "team/app"
    assert shared.name_of(repository) == "demo/team/app"


def test_an_organisations_host_has_no_name_for_a_repository_of_another():
    with pytest.raises(NameInvalid):
        Address("demo.registry.example", "demo").name_of(Repository("other", "app"))
