"""Reading the credentials secret: once a minute, by one thread, and the last good one when it fails."""

import threading
from collections.abc import Callable

import pytest

from sluice.catalog.catalog import catalog
from sluice.errors import StorageUnavailableError
from sluice.providers.credentials import CredentialsError
from sluice.providers.loader import RegistryLoader
from sluice.providers.registry import Registry
from tests.credentials import GATEWAY, GROQ, secret


class Secret:
    """What a loader reads: a text, or an error, and how often."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.reads = 0

    def __call__(self) -> str:
        self.reads += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def no_previous() -> str:
    raise StorageUnavailableError("there is no earlier version")


def loader(read: Callable[[], str], clock: Clock, previous: Callable[[], str] = no_previous) -> RegistryLoader:
    return RegistryLoader(read, previous, known=catalog(), max_age_s=60, clock=clock)


def test_the_secret_is_read_once_a_minute(clock: Clock) -> None:
    read = Secret(secret(GROQ), secret(GROQ, GATEWAY))
    loading = loader(read, clock)
    first = loading.get()
    clock.now_s += 59.9
    assert loading.get() is first
    assert read.reads == 1
    clock.now_s += 0.1
    assert {each.alias for each in loading.get().deployments} == {"groq-1", "gw-1"}
    assert read.reads == 2


def test_an_unchanged_secret_keeps_the_registry(clock: Clock) -> None:
    loading = loader(Secret(secret(GROQ)), clock)
    first = loading.get()
    clock.now_s += 60
    assert loading.get() is first


BROKEN = {**GATEWAY, "provider": "nobody"}


@pytest.mark.parametrize("failure", [StorageUnavailableError("no answer"), "{not json", secret(BROKEN)])
def test_the_last_good_one_serves_on_when_reading_fails(
    failure: str | Exception, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    read = Secret(secret(GROQ), failure, failure, secret(GATEWAY))
    loading = loader(read, clock)
    first = loading.get()
    clock.now_s += 60
    assert loading.get() is first
    assert loading.get() is first
    assert read.reads == 2, "a failure is not repeated at once"
    assert '"CredentialsNotRefreshed"' in capsys.readouterr().out
    assert loading.problem
    clock.now_s += 5
    assert loading.get() is first
    clock.now_s += 5
    assert [each.alias for each in loading.get().deployments] == ["gw-1"]
    assert loading.problem is None


def test_a_first_reading_that_fails_is_an_error_each_time(clock: Clock) -> None:
    loading = loader(Secret(StorageUnavailableError("no answer"), "{}", secret(GROQ)), clock)
    with pytest.raises(StorageUnavailableError):
        loading.get()
    with pytest.raises(CredentialsError):
        loading.get()
    assert loading.get().deployments


def test_adapters_are_made_once_and_kept_while_their_credential_is_unchanged(clock: Clock) -> None:
    moved = {**GATEWAY, "base_url": "http://127.0.0.1:9001/v1"}
    other = {**GATEWAY, "alias": "gw-2"}
    loading = loader(Secret(secret(GATEWAY, other), secret(moved, other)), clock)
    before = loading.get()
    one, two = before.deployments
    made = before.provider(one), before.provider(two)
    assert before.provider(one) is made[0]
    clock.now_s += 60
    after = loading.get()
    one, two = after.deployments
    assert after.provider(one) is not made[0]
    assert after.provider(one).config.base_url == "http://127.0.0.1:9001/v1"
    assert after.provider(two) is made[1]


def test_threads_wait_for_the_first_reading_but_not_for_later_ones(clock: Clock) -> None:
    begun, go_on = threading.Event(), threading.Event()
    texts = [secret(GROQ), secret(GATEWAY)]

    def read() -> str:
        begun.set()
        assert go_on.wait(10)
        return texts.pop(0)

    loading = loader(read, clock)
    found: list[Registry] = []
    threads = [threading.Thread(target=lambda: found.append(loading.get())) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert len(found) == 4
    assert len(set(map(id, found))) == 1
    assert len(texts) == 1, "one thread reads for all"

    begun.clear()
    go_on.clear()
    clock.now_s += 60
    refreshing = threading.Thread(target=loading.get)
    refreshing.start()
    assert begun.wait(10)
    assert loading.get() is found[0]
    go_on.set()
    refreshing.join(10)
    assert [each.alias for each in loading.get().deployments] == ["gw-1"]


def aliases(registry: Registry) -> set[str]:
    return {each.alias for each in registry.deployments}


@pytest.mark.parametrize("broken", ["{not json", secret(BROKEN), "[]"])
def test_a_process_that_starts_while_the_secret_is_broken_serves_what_it_was_before(
    broken: str, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    read = Secret(broken, broken, secret(GROQ, GATEWAY))
    loading = loader(read, clock, Secret(secret(GATEWAY)))
    first = loading.get()
    assert aliases(first) == {"gw-1"}
    assert "the credentials secret: " in (loading.problem or "")
    assert '"CredentialsNotRefreshed"' in capsys.readouterr().out
    clock.now_s += 60
    assert loading.get() is first
    clock.now_s += 60
    assert aliases(loading.get()) == {"groq-1", "gw-1"}
    assert loading.problem is None


def test_an_earlier_version_that_is_broken_too_leaves_the_error_of_the_present_one(clock: Clock) -> None:
    loading = loader(Secret("{not json"), clock, Secret("[]"))
    with pytest.raises(CredentialsError, match="Invalid JSON"):
        loading.get()


def test_an_earlier_version_is_not_asked_for_while_secrets_manager_does_not_answer(clock: Clock) -> None:
    previous = Secret(secret(GATEWAY))
    loading = loader(Secret(StorageUnavailableError("no answer")), clock, previous)
    with pytest.raises(StorageUnavailableError):
        loading.get()
    assert previous.reads == 0


def test_a_broken_entry_leaves_the_others_be_and_is_counted_while_it_is_broken(
    clock: Clock, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    loading = loader(Secret(secret(GROQ, BROKEN)), clock)
    assert aliases(loading.get()) == {"groq-1"}
    [broken] = loading.get().broken
    assert (broken.position, broken.alias) == (1, "gw-1")
    assert loading.problem is None
    for _ in range(2):
        assert '"CredentialBroken"' in capsys.readouterr().out
        clock.now_s += 60
        loading.get()
    [logged] = caplog.records
    assert (logged.__dict__["credential"], logged.__dict__["reason"]) == ("gw-1", broken.reason), "when it is new"
