"""The provider that is Sluice itself."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from sluice.chat import ChatRequest
from sluice.embeddings import files
from sluice.embeddings.vectors import TextBatch
from sluice.errors import ProviderRejectedError, ProviderTimeoutError, ProviderUnavailableError
from sluice.providers.base import ProviderConfig
from sluice.providers.builtin import BuiltinProvider

MODEL = "potion-base-8M"


def provider() -> BuiltinProvider:
    return BuiltinProvider(ProviderConfig(provider="builtin", alias="builtin", api_key="none"))


def batch(*texts: str, first: int = 0) -> TextBatch:
    return TextBatch(texts=texts, dimensions=256, first=first)


def test_texts_get_vectors_in_order_and_their_tokens_are_counted() -> None:
    one, other = "Why is the sky blue?", "A cat sat."
    found = provider().embed(batch(one, other), MODEL, 10)
    assert [found.vectors[0], found.vectors[1]] == [
        *provider().embed(batch(one), MODEL, 10).vectors,
        *provider().embed(batch(other), MODEL, 10).vectors,
    ]
    assert [len(each) for each in found.vectors] == [256, 256]
    assert found.tokens == 6 + 4
    assert not found.rate_limits.capacities


def test_texts_of_nothing_that_is_known_are_named_by_their_place_in_the_request() -> None:
    with pytest.raises(ProviderRejectedError) as raised:
        provider().embed(batch("good", "👍", "bad", " ", first=100), MODEL, 10)
    assert "at positions 101, 103," in raised.value.message
    assert (raised.value.status, raised.value.code, raised.value.was_sent) == (400, "no_known_words", False)


def test_of_many_such_texts_ten_are_named() -> None:
    with pytest.raises(ProviderRejectedError, match="at positions 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2038 more,"):
        provider().embed(batch(*["👍"] * 2_048), MODEL, 10)


def test_no_more_time_is_taken_than_there_is() -> None:
    with pytest.raises(ProviderTimeoutError, match="0 of 2 vectors"):
        provider().embed(batch("one", "two"), MODEL, -1)


def test_a_function_without_the_model_is_a_provider_that_can_t_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = provider()
    monkeypatch.setattr(files, "PACKAGE", "no_such_layer")
    asked.warm_up_to_embed()
    with pytest.raises(ProviderUnavailableError, match="no layer") as raised:
        asked.embed(batch("one"), MODEL, 10)
    assert not raised.value.was_sent
    assert not raised.value.may_be_billed
    monkeypatch.undo()
    assert asked.embed(batch("one"), MODEL, 10).tokens == 1


def test_it_does_not_chat() -> None:
    request = ChatRequest.model_validate({"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]})
    with pytest.raises(ProviderRejectedError, match="does not chat"):
        provider().complete(request, MODEL, 10)
    with pytest.raises(ProviderRejectedError, match="does not chat"):
        provider().stream(request, MODEL, 10)


def test_the_model_is_read_once_however_many_threads_ask_first(monkeypatch: pytest.MonkeyPatch) -> None:
    read, original = [], files.read_model

    def reading() -> object:
        read.append(1)
        return original()

    monkeypatch.setattr(files, "read_model", reading)
    asked = provider()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: asked.embed(batch("one"), MODEL, 10).vectors, range(8)))
    assert len(read) == 1
    assert all(each == found[0] for each in found)
