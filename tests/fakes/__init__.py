"""Providers that are not there: a server which speaks their wire formats over a real socket."""

from tests.fakes.client import FakeProcess, FakeProvider, FakeProviderClient
from tests.fakes.settings import FakeSettings, Fault, Limits

__all__ = ["FakeProcess", "FakeProvider", "FakeProviderClient", "FakeSettings", "Fault", "Limits"]
