"""Where webhooks may be sent."""

import socket
import threading
from collections.abc import Sequence

import pytest

from sluice.errors import InvalidRequestError
from sluice.storage import addresses
from sluice.storage.addresses import Addresses, AddressRefusedError, is_public, networks
from sluice.storage.connections import SocketAddress

PUBLIC = "93.184.215.14"


def at(*addresses: str) -> list[SocketAddress]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in addresses]


class Names:
    """What names stand for, one answer after another; the last one stays."""

    def __init__(self, *answers: Sequence[SocketAddress]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> Sequence[SocketAddress]:
        self.asked.append((host, port))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.mark.parametrize("host", [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:810::200e"])
def test_hosts_of_the_internet_are_public(host: str) -> None:
    assert is_public(host)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",  # noqa: S104  what is refused
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "169.254.100.5",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:93.184.215.14",
        "::ffff:0:93.184.215.14",
        "64:ff9b::7f00:1",
        "64:ff9b::5db8:d70e",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::5db8:d70e",
        "2001:0:53aa:64c:0:0:80ff:fffe",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:5db8:d70e::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "nonsense",
    ],
)
def test_addresses_that_are_somebody_s_own_or_stand_for_another_are_not_public(host: str) -> None:
    assert not is_public(host)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "https://hooks.example.com/a/b?c=d",
        "https://hooks.example.com:443/",
        "https://hooks.example.com:8443/",
        "https://xn--bcher-kva.example/",
        "https://a_b.example.com/",
        f"https://{PUBLIC}/",
        "https://[2606:4700:4700::1111]/",
    ],
)
def test_urls_of_https_are_taken(url: str) -> None:
    names = Names(at(PUBLIC))
    assert Addresses(resolve=names).find(url) == at(PUBLIC)
    assert len(names.asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://hooks.example.com/",
        "http://localhost:8080/",
        "http://127.0.0.1:8080/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "//hooks.example.com/",
        "https:///a",
        "https://user@hooks.example.com/",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com#@127.0.0.1/",
        "https://hooks.example.com/#a",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:80/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com:x/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://1.2.3/",
        "https://1.2.3.4.5/",
        "https://a.0x7f/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://[1.2.3.4]/",
        "https://hooks..example.com/",
        "https://-a.example.com/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.exam ple.com/",
        "https://hooks.example.com/\r\nx-evil: 1",
        "https://bücher.example/",
        "https://hooks.example.com/" + "a" * 2_048,
    ],
)
def test_other_urls_are_refused_before_any_name_is_asked_for(url: str) -> None:
    names = Names(at(PUBLIC))
    addresses = Addresses(resolve=names)
    with pytest.raises(AddressRefusedError):
        addresses.find(url)
    with pytest.raises(InvalidRequestError) as refused:
        addresses.check(url)
    assert refused.value.param == "url"
    assert "secret" not in refused.value.message
    assert names.asked == []


def test_a_name_is_refused_if_one_of_its_addresses_is() -> None:
    for found in (at("10.0.0.1"), at(PUBLIC, "169.254.169.254"), at("127.0.0.1", PUBLIC), []):
        with pytest.raises(AddressRefusedError, match="public internet"):
            Addresses(resolve=Names(found)).find("https://hooks.example.com/")


def test_a_name_that_stands_for_another_address_a_moment_later_is_refused_then() -> None:
    addresses = Addresses(resolve=Names(at(PUBLIC), at("127.0.0.1")))
    addresses.check("https://hooks.example.com/")
    with pytest.raises(AddressRefusedError, match="public internet"):
        addresses.find("https://hooks.example.com/")


def test_a_name_that_nobody_knows_yet_may_be_set_and_is_not_sent_to() -> None:
    def unknown(host: str, port: int) -> Sequence[SocketAddress]:
        raise socket.gaierror

    addresses = Addresses(resolve=unknown)
    addresses.check("https://hooks.example.com/")
    with pytest.raises(AddressRefusedError, match="no address"):
        addresses.find("https://hooks.example.com/")


def test_a_server_of_names_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: is_over.wait(30))
    monkeypatch.setattr(addresses, "RESOLVE_S", 0.05)
    with pytest.raises(AddressRefusedError, match="no address"):
        Addresses().find("https://hooks.example.com/")
    is_over.set()


def test_http_takes_a_network_that_is_allowed_and_leads_nowhere_else() -> None:
    loopback = networks((), {"TENANTS_REACH_LOOPBACK": "true"})
    local = Addresses(loopback, resolve=Names(at("127.0.0.1")))
    for url in ("http://127.0.0.1:8080/hook", "https://localhost/", "http://localhost:8080/"):
        assert local.find(url) == at("127.0.0.1")
    for url in (
        "https://127.0.0.1:80/",
        "ftp://127.0.0.1:8080/",
        "http://user@localhost:8080/",
    ):
        with pytest.raises(AddressRefusedError):
            local.find(url)
    for each in ("169.254.169.254", "10.0.0.1", PUBLIC):
        with pytest.raises(AddressRefusedError):
            Addresses(loopback, resolve=Names(at(each))).find("http://localhost:8080/")


def test_a_network_of_a_stacks_own_is_reached_and_its_neighbours_are_not() -> None:
    allowed = networks(["10.1.0.0/16", "fd00:1::/32"], {})
    for each in ("10.1.2.3", "fd00:1::5"):
        for url in ("http://llm.example.com:8000/v1", "https://llm.example.com/v1"):
            assert Addresses(allowed, resolve=Names(at(each))).find(url) == at(each)
    for each in ("10.2.0.1", "192.168.1.1", "fd00:2::5", "127.0.0.1"):
        with pytest.raises(AddressRefusedError):
            Addresses(allowed, resolve=Names(at(each))).find("https://llm.example.com/v1")


@pytest.mark.parametrize(
    "network", ["127.0.0.0/8", "127.0.0.1/32", "169.254.169.254/32", "0.0.0.0/0", "::/0", "::1/128", "fe80::/64"]
)
def test_the_machine_itself_is_never_a_network_of_a_stacks(network: str) -> None:
    with pytest.raises(ValueError, match="this machine"):
        networks([network], {})


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/33", "here", ""])
def test_what_is_no_network_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        networks([network], {})


def test_loopback_is_taken_where_the_environment_says_so_alone() -> None:
    assert networks((), {"TENANTS_REACH_LOOPBACK": "true"})
    assert networks((), {}) == ()
    assert networks((), {"TENANTS_REACH_LOOPBACK": "1"}) == ()
