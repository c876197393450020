"""OpenAI's SDK lets a model search files, over a real socket."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseFileSearchToolCall

from sluice.knowledge import search
from sluice.knowledge.vector_store import Generation, VectorStore, new_id
from sluice.tenants.choices import Choice, with_choice
from sluice.tenants.principal import Principal
from tests.chat_server import ChatServer
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.stores import document, stores_environment
from tests.tenants import key_id

LEAVE = "Parental leave is sixteen weeks."
PRINTERS = "Printers jam on Mondays."


def search_call(arguments: Any, id: str = "call_1", name: str = "file_search") -> dict[str, Any]:
    said = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": id, "type": "function", "function": {"name": name, "arguments": said}}


FOR_LEAVE = [search_call({"queries": [LEAVE]})]


@dataclass
class Asking:
    """A tenant's stores, and a model that may search them."""

    chat: ChatServer
    fake: FakeProvider
    store: VectorStore

    def new_store(self, tenant: str = "acme", dimensions: int = 256) -> VectorStore:
        """Make a store."""
        store = VectorStore(
            id=new_id(1_700_000_000_000 + dimensions),
            tenant=tenant,
            name="a store",
            created_at=1_700_000_000,
            last_active_at=1_700_000_000,
            active=Generation(number=1, model="embed", dimensions=dimensions, is_shortened=dimensions < 3072),
        )
        self.chat.app.stores.create(store)
        return store

    def add(self, text: str, name: str, store: VectorStore | None = None, **attributes: Any) -> None:
        """Put a document into a store."""
        found = self.chat.app.verifier.known("acme", key_id(self.chat.api_key))
        written = document(text, id=name, title=name, attributes=attributes)
        self.chat.app.document_writer.write(Principal(found.key, found.tenant), (store or self.store).id, written)

    def tool(self, *stores: str, **options: Any) -> Any:
        """The tool."""
        return {"type": "file_search", "vector_store_ids": list(stores) or [self.store.id], **options}

    def ask(self, **fields: Any) -> Response:
        """Ask for a response."""
        asked: dict[str, Any] = {"model": "small", "input": "How long is parental leave?", "tools": [self.tool()]}
        # Each question is put to the model.
        headers = {"cache-control": "no-cache"}
        found: Response = self.chat.openai().responses.create(**asked | fields, extra_headers=headers)
        return found

    def chats(self) -> list[Any]:
        """The chats that the model was asked."""
        return [each["body"] for each in self.fake.requests() if each["path"].endswith("/chat/completions")]


@pytest.fixture
def asking(chat: ChatServer, aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    """A store with two documents."""
    vectors = {"vectors": {"dimensions": 3072, "shortens": True}, "context_window": 8_192}
    embedder = {**vectors, "price": {"prompt_usd": 1, "completion_usd": 0}}
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model(), "embed": embedder}))
    fake.configure(embeddings={"dimensions": 3072})
    with stores_environment(monkeypatch):
        chat.restart()
        asking = Asking(chat, fake, None)  # type: ignore[arg-type]
        asking.store = asking.new_store()
        asking.add(LEAVE, "leave.md", team="hr")
        asking.add(PRINTERS, "printers.md", team="it")
        fake.configure(answer="It is sixteen weeks.")
        yield asking


def searches_of(response: Response) -> list[ResponseFileSearchToolCall]:
    return [item for item in response.output if item.type == "file_search_call"]


def marker_of(chat_body: Any, text: str) -> str:
    """The id that the model was told for a passage."""
    [told] = [each for each in json.loads(chat_body["messages"][-1]["content"]) if each["text"] == text]
    return str(told["id"])


def test_what_a_model_looks_for_is_found_and_it_answers(asking: Asking) -> None:
    asking.fake.configure(answers=[FOR_LEAVE])
    response = asking.ask(include=["file_search_call.results"])
    assert [item.type for item in response.output] == ["file_search_call", "message"]
    [found] = searches_of(response)
    assert (found.status, found.queries) == ("completed", [LEAVE])
    assert found.id.startswith("fs_")
    assert found.results is not None
    nearest = found.results[0]
    assert (nearest.text, nearest.filename, nearest.file_id) == (LEAVE, "leave.md", "leave.md")
    assert nearest.score == pytest.approx(1, abs=0.01)
    assert nearest.attributes == {"team": "hr"}
    assert response.output_text == "It is sixteen weeks."
    first, second = asking.chats()
    assert [tool["function"]["name"] for tool in first["tools"]] == ["file_search"]
    assert second["messages"][-2]["tool_calls"] == FOR_LEAVE
    assert second["messages"][-1]["tool_call_id"] == "call_1"
    assert LEAVE in second["messages"][-1]["content"]


def test_usage_and_cost_are_of_all_answers(asking: Asking) -> None:
    asking.fake.configure(answers=[FOR_LEAVE], usage={"prompt_tokens": 100, "completion_tokens": 10})
    raw = asking.chat.openai().responses.with_raw_response.create(
        model="small", input="How long?", tools=[asking.tool()], store=False
    )
    usage = raw.parse().usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (200, 20, 220)
    assert float(raw.headers["x-sluice-cost-usd"]) == pytest.approx(2 * (100 * 1 + 10 * 2) / 1_000_000)
    # Two chats, and the vectors of what was looked for.
    assert asking.chat.counted()["caller"]["requests_per_minute"] >= 3


def test_without_include_nothing_that_was_found_is_shown(asking: Asking) -> None:
    asking.fake.configure(answers=[FOR_LEAVE])
    [found] = searches_of(asking.ask())
    assert found.results is None


def test_a_streamed_answer_is_the_whole_one(asking: Asking) -> None:
    asked: dict[str, Any] = {"include": ["file_search_call.results"], "store": False}
    asking.fake.configure(answers=[FOR_LEAVE])
    whole = asking.ask(**asked)
    asking.fake.configure(answers=[FOR_LEAVE])
    client = asking.chat.openai(default_headers={"cache-control": "no-cache"})
    question: dict[str, Any] = {"model": "small", "input": "How long is parental leave?", "tools": [asking.tool()]}
    events: list[Any] = list(client.responses.create(**question, **asked, stream=True))
    assert [event.type for event in events if "delta" not in event.type] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.file_search_call.in_progress",
        "response.file_search_call.searching",
        "response.file_search_call.completed",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.output_index for event in events if event.type == "response.output_item.done"] == [0, 1]
    last = events[-1].response
    assert last.usage == whole.usage
    assert [strip(item.to_dict()) for item in last.output] == [strip(item.to_dict()) for item in whole.output]


def strip(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "id"}


def test_the_sdk_s_own_stream_reads_it(asking: Asking) -> None:
    asking.fake.configure(answers=[FOR_LEAVE])
    question: dict[str, Any] = {"model": "small", "input": "How long?", "tools": [asking.tool()]}
    with asking.chat.openai().responses.stream(**question) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.file_search_call.completed" in kinds
    assert [item.type for item in final.output] == ["file_search_call", "message"]


@pytest.mark.parametrize("streams", [False, True])
def test_passages_that_were_really_given_are_cited(asking: Asking, streams: bool) -> None:
    asking.fake.configure(answers=[FOR_LEAVE])
    asking.ask(store=False)
    marker = marker_of(asking.chats()[-1], LEAVE)
    text = f"Sixteen weeks{marker}, not twelve【000000】."
    asking.fake.configure(answers=[FOR_LEAVE], answer=text)
    client = asking.chat.openai(default_headers={"cache-control": "no-cache"})
    question: dict[str, Any] = {"model": "small", "input": "How long?", "tools": [asking.tool()], "store": False}
    cited = {"type": "file_citation", "file_id": "leave.md", "filename": "leave.md", "index": len("Sixteen weeks")}
    if streams:
        events: list[Any] = list(client.responses.create(**question, stream=True))
        [added] = [event for event in events if event.type == "response.output_text.annotation.added"]
        assert added.to_dict()["annotation"] == cited
        kinds = [event.type for event in events]
        assert kinds.index(added.type) < kinds.index("response.output_text.done")
        response = events[-1].response
    else:
        response = client.responses.create(**question)
    assert response.output_text == text
    message = response.output[-1]
    assert message.type == "message"
    assert message.to_dict()["content"][0]["annotations"] == [cited]
    assert response.output_text == text


def test_a_model_may_search_twice_or_never(asking: Asking) -> None:
    again = [search_call({"queries": [PRINTERS]}, "call_2")]
    asking.fake.configure(answers=[FOR_LEAVE, again])
    twice = asking.ask()
    assert [found.queries for found in searches_of(twice)] == [[LEAVE], [PRINTERS]]
    assert len({found.id for found in searches_of(twice)}) == 2
    assert [item.type for item in asking.ask(input="Hello.").output] == ["message"]


@pytest.mark.parametrize("streams", [False, True])
def test_a_model_that_searches_for_ever_is_stopped(asking: Asking, streams: bool) -> None:
    asking.fake.configure(answers=[[search_call({"queries": [f"{LEAVE} {number}"]})] for number in range(20)])
    if streams:
        question: dict[str, Any] = {"model": "small", "input": "How long?", "tools": [asking.tool()]}
        events: list[Any] = list(asking.chat.openai().responses.create(**question, stream=True))
        assert events[-1].type == "response.incomplete"
        response = events[-1].response
    else:
        response = asking.ask()
    assert response.status == "incomplete"
    assert [item.type for item in response.output] == ["file_search_call"] * 6
    chats = asking.chats()
    assert len(chats) == 7
    assert [each.get("tool_choice") for each in chats] == [None] * 6 + ["none"]


def test_max_tool_calls_bounds_the_searches(asking: Asking) -> None:
    calls = [search_call({"queries": [LEAVE]}, "call_1"), search_call({"queries": [PRINTERS]}, "call_2")]
    asking.fake.configure(answers=[calls])
    response = asking.ask(max_tool_calls=1)
    assert [item.type for item in response.output] == ["file_search_call", "message"]
    last = asking.chats()[-1]
    assert [each["tool_call_id"] for each in last["messages"][-2:]] == ["call_1", "call_2"]
    assert "enough searches" in last["messages"][-1]["content"]
    assert last["tool_choice"] == "none"


def test_a_search_that_had_to_be_is_made_once(asking: Asking) -> None:
    asking.fake.configure(answers=[FOR_LEAVE])
    asking.ask(tool_choice={"type": "file_search"})
    first, second = asking.chats()
    assert first["tool_choice"] == {"type": "function", "function": {"name": "file_search"}}
    assert second["tool_choice"] == "auto"


@pytest.mark.parametrize("arguments", ["{", "[]", '{"queries": "leave"}', '{"queries": []}', '{"queries": [" "]}'])
def test_arguments_that_say_nothing_fail_and_the_model_is_told(asking: Asking, arguments: str) -> None:
    asking.fake.configure(answers=[[search_call(arguments)]])
    response = asking.ask()
    [found] = searches_of(response)
    assert (found.status, found.queries) == ("failed", [])
    assert response.status == "completed"
    assert "queries" in asking.chats()[-1]["messages"][-1]["content"]


def test_nothing_that_passes_is_no_error(asking: Asking) -> None:
    asking.fake.configure(answers=[FOR_LEAVE])
    filters = {"type": "eq", "key": "team", "value": "law"}
    response = asking.ask(tools=[asking.tool(filters=filters)], include=["file_search_call.results"])
    [found] = searches_of(response)
    assert (found.status, found.results) == ("completed", [])
    assert asking.chats()[-1]["messages"][-1]["content"] == "Nothing was found."


def test_options_choose_what_is_found(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if there were more than the index answers with, so that all that pass are compared.
    monkeypatch.setattr(search, "MOST_FOUND", 1)
    asking.fake.configure(answers=[FOR_LEAVE])
    filters = {"type": "eq", "key": "team", "value": "it"}
    response = asking.ask(tools=[asking.tool(filters=filters)], include=["file_search_call.results"])
    [found] = searches_of(response)
    assert [each.text for each in found.results or []] == [PRINTERS]
    asking.fake.configure(answers=[FOR_LEAVE])
    tool = asking.tool(max_num_results=1, ranking_options={"ranker": "auto", "score_threshold": 0.9})
    [found] = searches_of(asking.ask(tools=[tool], include=["file_search_call.results"]))
    assert [each.text for each in found.results or []] == [LEAVE]


def test_stores_of_several_models_are_searched_together(asking: Asking) -> None:
    stores = [asking.new_store(dimensions=size) for size in (256, 768, 1024, 1536, 3072)]
    for store in stores:
        asking.add(f"Of {store.active.dimensions}.", "a.md", store)
    asking.fake.configure(answers=[FOR_LEAVE])
    tool = asking.tool(*[store.id for store in stores])
    [found] = searches_of(asking.ask(tools=[tool], include=["file_search_call.results"]))
    assert {each.text for each in found.results or []} == {f"Of {store.active.dimensions}." for store in stores}


@pytest.mark.parametrize("streams", [False, True])
def test_a_call_of_another_function_goes_to_the_caller(asking: Asking, streams: bool) -> None:
    tools = [asking.tool(), {"type": "function", "name": "book", "parameters": {"type": "object"}}]
    both = [search_call({"queries": [LEAVE]}), search_call({}, "call_2", "book")]
    asking.fake.configure(answers=[both])
    if streams:
        question: dict[str, Any] = {"model": "small", "input": "Book my leave.", "tools": tools}
        events: list[Any] = list(asking.chat.openai().responses.create(**question, stream=True))
        response = events[-1].response
    else:
        response = asking.ask(input="Book my leave.", tools=tools)
    assert [item.type for item in response.output] == ["function_call", "file_search_call"]
    assert len(asking.chats()) == 1
    output = {"type": "function_call_output", "call_id": "call_2", "output": "Booked."}
    further = asking.ask(input=[output], tools=tools, previous_response_id=response.id)
    assert further.output_text == "It is sixteen weeks."
    roles = [each["role"] for each in asking.chats()[-1]["messages"]]
    assert roles == ["user", "assistant", "tool", "tool"]


def test_what_was_found_goes_on_with_the_response_and_with_its_items(asking: Asking) -> None:
    asking.fake.configure(answers=[FOR_LEAVE])
    first = asking.ask(include=["file_search_call.results"])
    kept = asking.chat.openai().responses.retrieve(first.id)
    assert [item.type for item in kept.output] == ["file_search_call", "message"]
    asking.ask(input="Are you sure?", previous_response_id=first.id)
    assert [each["role"] for each in asking.chats()[-1]["messages"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    by_id = asking.chats()[-1]["messages"][2]["content"]
    items: list[Any] = [{"role": "user", "content": "How long?"}, *first.output, {"role": "user", "content": "Sure?"}]
    asking.ask(input=[each if isinstance(each, dict) else each.to_dict() for each in items])
    again = asking.chats()[-1]["messages"]
    assert [each["role"] for each in again] == ["user", "assistant", "tool", "assistant", "user"]
    assert again[2]["content"] == by_id
    assert re.search(r"【[0-9a-f]{6}】", by_id)


def test_another_tenant_s_store_is_not_there(asking: Asking) -> None:
    asking.chat.tenant("other")
    foreign = asking.new_store("other")
    for store in (foreign.id, "vs_1", "vs_019a0000000000000000000000000000"):
        with pytest.raises(openai.NotFoundError) as refused:
            asking.ask(tools=[asking.tool(asking.store.id, store)])
        error: Any = refused.value.body
        assert error["param"] == "tools[0].vector_store_ids[1]"
        assert store in error["message"]
    assert asking.chats() == []


def test_a_store_that_is_gone_before_it_is_searched_is_told(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    asking.fake.configure(answers=[FOR_LEAVE])
    searched = search.Searcher.search

    def deleted_before(*args: Any) -> Any:
        asking.chat.app.stores.mark_deleted(asking.store)
        return searched(*args)

    monkeypatch.setattr(search.Searcher, "search", deleted_before)
    question: dict[str, Any] = {"model": "small", "input": "How long?", "tools": [asking.tool()]}
    events: list[Any] = list(asking.chat.openai().responses.create(**question, stream=True))
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert "vector store" in events[-2].message


def test_a_tenant_that_turned_stores_off_searches_none(asking: Asking) -> None:
    app = asking.chat.app
    found = app.verifier.known("acme", key_id(asking.chat.api_key))
    choice = Choice(values={"vector_stores": False}, version=1)
    assert app.directory.change_tenant(found.tenant, with_choice(found.tenant, "features", choice))
    asking.chat.restart()
    with pytest.raises(openai.APIStatusError, match="vector_stores"):
        asking.ask()
    assert asking.chats() == []


def test_what_can_t_be_searched_with_is_refused_by_its_name(asking: Asking) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"tools": [{"type": "file_search"}]}, "tools[0].vector_store_ids"),
        ({"tools": [asking.tool(max_num_results=51)]}, "tools[0].max_num_results"),
        ({"tools": [asking.tool(filters={"type": "like"})]}, "tools[0].filters"),
        ({"tools": [asking.tool(ranking_options={"hybrid_search": {}})]}, "tools[0].ranking_options.hybrid_search"),
        ({"tools": [asking.tool(ranking_options={"score_threshold": 2})]}, "tools[0].ranking_options.score_threshold"),
        ({"tools": [asking.tool(), asking.tool()]}, "tools[1]"),
        ({"tools": [asking.tool(), {"type": "function", "name": "file_search"}]}, "tools[1].name"),
        ({"conversation": "trip"}, "tools[0]"),
    ]
    for fields, place in wrong:
        with pytest.raises(openai.BadRequestError) as refused:
            asking.ask(**fields)
        error: Any = refused.value.body
        assert error["param"] == place
    assert asking.chats() == []
