"""Where the front door listens, and what it may be called."""

import pytest

from tools.door import DoorError, door_at

LOOPBACK = ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"]


@pytest.mark.parametrize("host", [None, "", "localhost", "127.0.0.1", "::1"])
def test_without_a_host_it_is_this_machine_s_alone(host: str | None) -> None:
    door = door_at(8080, host)
    assert set(door.addresses) <= {"127.0.0.1", "::1"}
    assert not door.is_on_the_network
    assert all(map(door.is_called, [*LOOPBACK, "LocalHost:8080"]))
    others = [
        "192.168.1.20:8080",
        "attacker.example:8080",
        "localhost",
        "localhost:80",
        "localhost:8080:8080",
        "",
        ":8080",
    ]
    assert not any(map(door.is_called, [*others, "localhost.attacker.example:8080", "[::2]:8080", "0.0.0.0:8080"]))


def test_an_address_is_served_beside_this_machine() -> None:
    door = door_at(8080, "192.168.1.20")
    assert {"127.0.0.1", "192.168.1.20"} <= set(door.addresses)
    assert door.is_on_the_network
    assert all(map(door.is_called, [*LOOPBACK, "192.168.1.20:8080"]))
    assert not any(map(door.is_called, ["192.168.1.21:8080", "attacker.example:8080"]))


def test_an_ipv6_address_is_written_with_brackets() -> None:
    door = door_at(8080, "fd00::20")
    assert "fd00::20" in door.addresses
    assert door.is_called("[fd00::20]:8080")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104  what is tested
def test_all_addresses_may_be_called_by_any_of_them_and_by_no_name(host: str) -> None:
    door = door_at(8080, host)
    assert "0.0.0.0" in door.addresses  # noqa: S104  what is tested
    assert all(map(door.is_called, [*LOOPBACK, "192.168.1.20:8080", "[fd00::20]:8080"]))
    assert not any(map(door.is_called, ["attacker.example:8080", "192.168.1.20.nip.io:8080", "192.168.1.20:80"]))


def test_a_name_is_served_on_all_addresses_under_it_alone() -> None:
    door = door_at(8080, "Teacher-Laptop.local")
    assert door.is_on_the_network
    assert all(map(door.is_called, [*LOOPBACK, "teacher-laptop.local:8080"]))
    assert not any(map(door.is_called, ["192.168.1.20:8080", "attacker.example:8080"]))


def test_port_80_is_not_in_the_host() -> None:
    door = door_at(80)
    assert door.is_called("localhost")
    assert door.is_called("localhost:80")
    assert not door.is_called("localhost:8080")


@pytest.mark.parametrize("host", ["http://192.168.1.20", "192.168.1.20:8080", "a b", "-x", "a..b", "x" * 254])
def test_what_is_no_host_is_said(host: str) -> None:
    with pytest.raises(DoorError, match="HOST is an address of this machine"):
        door_at(8080, host)
