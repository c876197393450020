"""Responses whose model may search files: it is asked, what it looks for is searched, and it is asked again.

Each question is a chat that the gateway admits, counts and settles as any other, and each search is a request for
embeddings.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

from sluice.api.responses.answer import answered_message
from sluice.api.responses.events import ResponseEvents
from sluice.api.responses.file_search import (
    FAILED_OUTPUT,
    IGNORED_OUTPUT,
    MOST_SEARCHES,
    NAME,
    FileSearch,
    output_of,
    passage_id,
    queries_of,
    tool_output,
)
from sluice.api.responses.further import further
from sluice.api.route import Call
from sluice.chat import ChatChunk, ChatRequest, JsonObject, Message
from sluice.errors import SluiceError
from sluice.gateway.provenance import Provenance
from sluice.loading.dataclass import dataclass
from sluice.tenants.choices import check_enabled


@dataclass(frozen=True, slots=True)
class AskedAnswer:
    """An answer to one question, as it arrives or whole, and how it came about."""

    chunks: Iterator[ChatChunk]
    provenance: Provenance
    close: Callable[[], None]


type Ask = Callable[[ChatRequest], AskedAnswer]
"""How a question is asked."""


class Files:
    """The stores that a tool searches, for who asks for the response."""

    def __init__[Body](self, call: Call[Body], tool: FileSearch) -> None:
        self._principal = call.principal
        self._app = call.app
        self._tool = tool
        self._context = replace(call.context, operation="embedding")

    def check(self) -> None:
        """Refuse stores that can't be searched, before a model is asked. Raises SluiceError."""
        check_enabled("vector_stores", self._principal.tenant)
        for index, store in enumerate(self._tool.stores):
            try:
                self._app.stores.usable(self._principal.tenant.id, store)
            except SluiceError as error:
                if error.param == "vector_store_id":
                    error.param = f"{self._tool.place}.vector_store_ids[{index}]"
                    error.message = f"{error.param}: {error.message}"
                raise

    def passages(self, queries: Sequence[str]) -> list[JsonObject]:
        """What is found that is near any of the queries, the nearest first. Raises SluiceError."""
        # With what makes and compares vectors, which other responses need not.
        from sluice.knowledge.search import Query

        query = Query(
            texts=queries,
            most=self._tool.most,
            filter=self._tool.filter,
            score_threshold=self._tool.score_threshold,
        )
        hits = [
            hit
            for store in dict.fromkeys(self._tool.stores)
            for hit in self._app.searcher.search(self._principal, store, query, self._context).hits
        ]
        hits.sort(key=lambda hit: -hit.score)
        return [
            {
                "file_id": hit.document.source or hit.document.id,
                "filename": hit.document.title or hit.document.id,
                "score": max(0.0, min(1.0, hit.score)),
                "attributes": dict(hit.document.attributes),
                "text": hit.text,
            }
            for hit in hits[: self._tool.most]
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """How a response searches: at most so often, and whether it shows the passages that it finds."""

    files: Files
    most_searches: int = MOST_SEARCHES
    shows_results: bool


class SearchingAnswers:
    """The answers that one response is made of. `ask` asks a question; the first one is asked at once."""

    def __init__(self, plan: SearchPlan, chat: ChatRequest, ask: Ask) -> None:
        self._plan = plan
        self._chat = chat
        self._ask = ask
        self._left = plan.most_searches
        self.passages: dict[str, JsonObject] = {}
        """All that were found so far, by their ids."""
        self.said: list[JsonObject] = []
        """What the model said, and what its searches found, as messages of a chat."""
        self._answers: list[Provenance] = []
        self._current = self._asked()

    @property
    def provenance(self) -> Provenance:
        """How the last answer came about, at the cost of all of them."""
        *_, last = self._answers
        costs = [each.cost_usd for each in self._answers if each.cost_usd is not None]
        is_hit = all(each.is_cached for each in self._answers)
        cache = "miss" if last.is_cached and not is_hit else last.cache
        return replace(last, cost_usd=sum(costs[1:], costs[0]) if costs else None, cache=cache)

    def events(self, events: ResponseEvents) -> Iterator[JsonObject]:
        """The events of all items. `events` is fed with all answers. Raises SluiceError."""
        while True:
            for chunk in self._current.chunks:
                yield from events.chunk(chunk)
            yield from events.items_done()
            if not (yield from self._search(events)):
                return
            events.next_answer()
            self._current = self._asked()

    def close(self) -> None:
        """Close the answer that is arriving."""
        self._current.close()

    def _asked(self) -> AskedAnswer:
        chat = self._chat
        if self._left <= 0 or self.said:
            chat = further(self._chat, [Message.model_validate(each) for each in self.said], searches=self._left > 0)
        answer = self._ask(chat)
        self._answers.append(answer.provenance)
        return answer

    def _search(self, events: ResponseEvents) -> Generator[JsonObject, None, bool]:
        """Search what the answer asks for. Returns whether the model is to be asked again."""
        message = answered_message(events.body())
        if message is None:
            return False
        calls = message.get("tool_calls") or []
        searches = [each for each in calls if _is_search(each)]
        others = [each for each in calls if not _is_search(each)]
        # Of an answer that was cut off, the arguments may be half there.
        if not searches or self._left <= 0 or events.ending.status != "completed":
            self._end(message, others)
            if searches and not others and events.ending.status == "completed":
                events.cut_short()
            return False
        self.said.append(message)
        for call in searches:
            if self._left <= 0:
                self.said.append(tool_output(call.get("id") or "", IGNORED_OUTPUT))
                continue
            self._left -= 1
            self.said.append(tool_output(call.get("id") or "", (yield from self._found(call, events))))
        return not others

    def _end(self, message: JsonObject, calls: list[JsonObject]) -> None:
        """End with a message of which nothing but these calls goes on."""
        said = {name: value for name, value in message.items() if name != "tool_calls"}
        if calls:
            said["tool_calls"] = calls
        if said.keys() & {"tool_calls", "refusal", "thinking_blocks"} or said["content"]:
            self.said.append(said)

    def _found(self, call: JsonObject, events: ResponseEvents) -> Generator[JsonObject, None, str]:
        """Search for what a call asks for, and return what the model is told."""
        yield from events.searching()
        queries = queries_of(call["function"].get("arguments") or "")
        if not queries:
            yield from events.searched([], None, "failed")
            return FAILED_OUTPUT
        passages = self._plan.files.passages(queries)
        self.passages.update((passage_id(each), each) for each in passages)
        yield from events.searched(queries, passages if self._plan.shows_results else None, "completed")
        return output_of(passages)


def _is_search(call: JsonObject) -> bool:
    return (call.get("function") or {}).get("name") == NAME
