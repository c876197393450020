"""Responses that are kept: read, deleted, and gone on from, by their owners alone."""

import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import openai
import pytest

from sluice.api.authentication import authenticate
from sluice.conversations.conversation import Owner
from tests.chat_server import ChatServer
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider


@pytest.fixture
def client(chat: ChatServer) -> openai.OpenAI:
    return chat.openai()


def ask(client: openai.OpenAI, text: str, **fields: Any) -> Any:
    return client.responses.create(model="small", input=text, **fields)


def asked(fake: FakeProvider) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in fake.last_body()["messages"]]


def test_a_response_is_read_as_it_was_answered(client: openai.OpenAI) -> None:
    response = ask(client, "Say hello.", metadata={"lesson": "7"}, instructions="Be brief.")
    read = client.responses.retrieve(response.id)
    assert read.model_dump() == response.model_dump()
    assert read.metadata == {"lesson": "7"}
    assert read.instructions == "Be brief."


def test_a_streamed_response_can_be_read_once_it_is_completed(client: openai.OpenAI) -> None:
    last = list(ask(client, "Say hello.", stream=True))[-1]
    assert client.responses.retrieve(last.response.id).model_dump() == last.response.model_dump()


def test_a_response_goes_on_from_another_without_its_instructions(client: openai.OpenAI, fake: FakeProvider) -> None:
    first = ask(client, "I am Ada.", instructions="Be brief.")
    second = ask(client, "Who am I?", previous_response_id=first.id)
    assert asked(fake) == [("user", "I am Ada."), ("assistant", first.output_text), ("user", "Who am I?")]
    ask(client, "And now?", previous_response_id=second.id, instructions="Be long.")
    assert asked(fake) == [
        ("system", "Be long."),
        ("user", "I am Ada."),
        ("assistant", first.output_text),
        ("user", "Who am I?"),
        ("assistant", second.output_text),
        ("user", "And now?"),
    ]


def test_two_responses_may_go_on_from_the_same_one_at_the_same_moment(
    client: openai.OpenAI, fake: FakeProvider
) -> None:
    root = ask(client, "root")
    found: dict[str, Any] = {}

    def go_on(text: str) -> None:
        found[text] = ask(client, text, previous_response_id=root.id)

    threads = [threading.Thread(target=go_on, args=(f"branch {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({response.id for response in found.values()}) == 4
    assert all(response.store for response in found.values())
    for text, response in found.items():
        ask(client, f"after {text}", previous_response_id=response.id)
        assert asked(fake) == [
            ("user", "root"),
            ("assistant", root.output_text),
            ("user", text),
            ("assistant", response.output_text),
            ("user", f"after {text}"),
        ]


def test_calls_and_their_outputs_are_told_apart_over_two_requests(client: openai.OpenAI, fake: FakeProvider) -> None:
    fake.configure(answer=None)
    tools: list[Any] = [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}]
    first = ask(client, "Weather?", tools=tools)
    [call] = first.output
    output: list[Any] = [{"type": "function_call_output", "call_id": call.call_id, "output": "22 degrees"}]
    second = client.responses.create(model="small", input=output, previous_response_id=first.id, tools=tools)
    assert second.output_text == "Echo: 22 degrees"
    roles = [message["role"] for message in fake.last_body()["messages"]]
    assert roles == ["user", "assistant", "tool"]


def test_nobody_else_reads_or_goes_on_from_a_response(chat: ChatServer, client: openai.OpenAI) -> None:
    mine = ask(client, "Say hello.")
    other_tenant, other_key = chat.openai(chat.tenant("other")), chat.openai(chat.key("acme"))
    other_user = chat.openai(default_headers={"x-sluice-user": "eve"})
    for stranger in (other_tenant, other_key, other_user):
        item: Any = {"type": "item_reference", "id": mine.output[0].id}
        attempts: list[Callable[[], Any]] = [
            partial(stranger.responses.retrieve, mine.id),
            partial(stranger.responses.delete, mine.id),
            partial(stranger.responses.cancel, mine.id),
            partial(stranger.responses.input_items.list, mine.id),
            partial(ask, stranger, "And?", previous_response_id=mine.id),
            partial(ask, stranger, "And?", previous_response_id=mine.id, store=False),
            partial(stranger.responses.create, model="small", input=[item]),
        ]
        for attempt in attempts:
            with pytest.raises(openai.NotFoundError):
                attempt()
    assert client.responses.retrieve(mine.id).id == mine.id


def test_a_user_that_the_body_names_owns_the_response(chat: ChatServer, client: openai.OpenAI) -> None:
    response = ask(client, "Say hello.", metadata={"sluice_user": "ada"})
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    assert client.responses.retrieve(response.id, extra_headers={"x-sluice-user": "ada"}).id == response.id
    ask(client, "And?", metadata={"sluice_user": "ada"}, previous_response_id=response.id)


def test_a_deleted_response_is_gone_and_nothing_goes_on_from_what_went_on_from_it(client: openai.OpenAI) -> None:
    first = ask(client, "one")
    second = ask(client, "two", previous_response_id=first.id)
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(first.id)
    assert client.responses.retrieve(second.id).output_text == second.output_text
    with pytest.raises(openai.NotFoundError) as raised:
        ask(client, "three", previous_response_id=second.id)
    assert raised.value.param == "previous_response_id"


def test_the_last_response_of_a_thread_takes_all_of_it_along(chat: ChatServer, client: openai.OpenAI) -> None:
    response = ask(client, "one")
    assert chat.count("CONVERSATIONS_TABLE") == 2
    client.responses.delete(response.id)
    assert chat.count("CONVERSATIONS_TABLE") == 0


@pytest.mark.parametrize("options", [{"store": False}, {"extra_headers": {"cache-control": "no-store"}}])
def test_a_response_that_is_not_to_be_kept_is_not(
    chat: ChatServer, client: openai.OpenAI, options: dict[str, Any]
) -> None:
    response = ask(client, "Say hello.", **options)
    assert response.store is False
    assert chat.count("CONVERSATIONS_TABLE") == 0
    with pytest.raises(openai.NotFoundError):
        ask(client, "And?", previous_response_id=response.id)


def test_what_is_not_kept_goes_on_from_what_is(client: openai.OpenAI, fake: FakeProvider) -> None:
    first = ask(client, "one")
    second = ask(client, "two", previous_response_id=first.id, store=False)
    assert asked(fake)[0] == ("user", "one")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(second.id)


def test_input_items_come_in_pages(client: openai.OpenAI) -> None:
    items: list[Any] = [{"role": "user", "content": f"question {number}"} for number in range(5)]
    response = client.responses.create(model="small", input=items)
    listed: list[Any] = list(client.responses.input_items.list(response.id, limit=2, order="asc"))
    assert [item.content[0].text for item in listed] == [f"question {number}" for number in range(5)]
    page: Any = client.responses.input_items.list(response.id, limit=2)
    assert page.has_more
    assert [item.content[0].text for item in page.data] == ["question 4", "question 3"]
    with pytest.raises(openai.NotFoundError):
        client.responses.input_items.list(response.id, after="nobody")


def test_items_are_referred_to_by_their_ids(client: openai.OpenAI, fake: FakeProvider) -> None:
    first = ask(client, "I am Ada.")
    said: Any = client.responses.input_items.list(first.id).data[0]
    references: list[Any] = [{"type": "item_reference", "id": each.id} for each in (said, first.output[0])]
    client.responses.create(model="small", input=[*references, {"role": "user", "content": "Who am I?"}])
    assert [role for role, _ in asked(fake)] == ["user", "assistant", "user"]
    with pytest.raises(openai.NotFoundError) as raised:
        client.responses.create(model="small", input=[{"type": "item_reference", "id": "msg_nobody"}])
    assert raised.value.param == "input[0]"


def test_a_response_is_cancelled_by_nobody(client: openai.OpenAI) -> None:
    response = ask(client, "Say hello.")
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.cancel(response.id)
    with pytest.raises(openai.BadRequestError, match="background"):
        ask(client, "Say hello.", background=True)
    with pytest.raises(openai.BadRequestError, match="stream"):
        client.responses.retrieve(response.id, stream=True)


def test_a_response_may_be_a_turn_of_a_conversation(client: openai.OpenAI, fake: FakeProvider) -> None:
    first = ask(client, "I am Ada.", conversation="lesson")
    assert first.conversation.id == "lesson"
    ask(client, "Who am I?", conversation={"id": "lesson"})
    assert [role for role, _ in asked(fake)] == ["user", "assistant", "user"]
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, "And?", previous_response_id=first.id)
    assert raised.value.param == "previous_response_id"
    with pytest.raises(openai.BadRequestError):
        ask(client, "And?", previous_response_id=first.id, conversation="lesson")


def test_a_thread_is_a_conversation_of_its_owner_that_only_responses_continue(
    chat: ChatServer, client: openai.OpenAI
) -> None:
    first = ask(client, "I am Ada.")
    ask(client, "Who am I?", previous_response_id=first.id)
    thread = first.id.rpartition("_")[0]
    answer = chat.post(
        {"model": "small", "messages": [{"role": "user", "content": "Hi"}]},
        headers={"x-sluice-conversation-id": thread},
    )
    assert answer.status_code == 400
    owner = Owner("acme", authenticate(f"Bearer {chat.api_key}", chat.app.verifier).caller_id)
    read = chat.app.conversations.read(owner, thread, before=None, limit=10)
    assert [message.text for turn in read.turns for message in turn.messages][::2] == ["I am Ada.", "Who am I?"]
    chat.app.conversations.delete(owner, thread)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_what_is_too_large_to_be_kept_is_answered_unless_it_has_to_be_kept(
    chat: ChatServer, aws: Aws, fake: FakeProvider
) -> None:
    large = model(context_window=2_000_000, limits={"requests_per_minute": 100})
    aws.set_credentials(gateway(fake, "one", models={"small": large}))
    chat.restart()
    client = chat.openai()
    noise = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=400_000))
    response = ask(client, noise)
    assert response.store is False
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, noise, store=True)
    assert raised.value.param == "store"


def test_the_tokens_of_a_question_are_estimated_with_what_it_goes_on_from(
    client: openai.OpenAI, fake: FakeProvider
) -> None:
    alone = client.responses.input_tokens.count(model="small", input="Who am I?")
    assert alone.object == "response.input_tokens"
    first = ask(client, "I am Ada, and I tell a long story about myself.")
    asked_once = len(fake.requests())
    longer = client.responses.input_tokens.count(model="small", input="Who am I?", previous_response_id=first.id)
    assert longer.input_tokens > alone.input_tokens > 3
    assert len(fake.requests()) == asked_once
    with pytest.raises(openai.NotFoundError):
        client.responses.input_tokens.count(model="nobody", input="Who am I?")
