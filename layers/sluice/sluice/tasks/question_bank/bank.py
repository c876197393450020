"""The question bank: what models have asked before, in the Questions table.

bank                                                        question
<tenant>#<version>#<role>#<difficulty>#<category>           hash of the question's text

Each tenant has banks of its own, and each version of the task: see
docs/decisions/0016-each-tenant-has-its-own-question-bank.md. A question is put once and never changed. The same one put
twice at once is one item.
"""

import hashlib
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import repeat

from sluice.gateway.background import RequestThreads
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import TypedItem, from_item, to_item, to_typed
from sluice.storage.tables import QUESTIONS
from sluice.tasks.question_bank.question import Question, label

ANY_CATEGORY = ""
"""The bank of questions whose category the model chose."""

_THREADS = 8
# Ever larger: a near-duplicate or two cost a small page, and a bank full of them few round trips.
_FURTHER_PAGES = (100, 300, 600)
# DynamoDB takes partition keys of 2,048 bytes.
_MOST_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where questions of one kind are. `version` is the task's."""

    tenant: str
    version: str
    role: str
    difficulty: str

    def key(self, category: str) -> str:
        """The bank of one category. What differs in case and white space only is the same."""
        parts = (label(part).replace("%", "%25").replace("#", "%23") for part in (self.role, self.difficulty, category))
        # Half of a surrogate pair, which JSON can write, can't be sent to DynamoDB.
        sendable = "#".join((self.tenant, self.version, *parts)).encode("utf-8", "replace")
        if len(sendable) > _MOST_KEY_BYTES:
            return f"{self.tenant}#{self.version}#{hashlib.sha256(sendable).hexdigest()}"
        return sendable.decode()


@dataclass(frozen=True, slots=True)
class _Page:
    """What one Query found, and the key after which there may be more; None at the end of the bank."""

    questions: Sequence[Question]
    last_key: TypedItem | None


_NOTHING_READ = _Page((), None)


class QuestionBank:
    """Reads and adds questions. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, now: Callable[[], float] = time.time, *, client: DynamoDB | None = None) -> None:
        self._table = table
        self._now = now
        self._client = client or dynamodb()
        self._pool = RequestThreads(_THREADS, thread_name_prefix="question-bank")

    def read(
        self,
        shelf: Shelf,
        categories: Iterable[str],
        first: int,
        missing: Callable[[], Container[str]],
    ) -> Iterator[Question]:
        """Questions of each category, in the order of their hashes, read from the table as they are needed.

        The `first` ones of all categories come from one Query each. Once those were taken, further pages follow of the
        categories that are in `missing()` by then, until none is or their banks end: at most 1,000 more of each.
        """
        pages: dict[str, _Page] = dict.fromkeys(categories, _NOTHING_READ)
        for size in (first, *_FURTHER_PAGES):
            banks = map(shelf.key, pages)
            pages = dict(zip(pages, self._pool.map(self._query, banks, pages.values(), repeat(size)), strict=True))
            for page in pages.values():
                yield from page.questions
            wanted = missing()
            pages = {category: page for category, page in pages.items() if page.last_key and category in wanted}
            if not pages:
                return

    def add(self, shelf: Shelf, questions: Iterable[tuple[str, Question]]) -> None:
        """Add questions, each to the bank of the category it comes with. Those that are there stay as they are."""
        list(self._pool.map(lambda each: self._put(shelf.key(each[0]), each[1]), questions))

    def _query(self, bank: str, before: _Page, most: int) -> _Page:
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#bank = :bank",
            "ExpressionAttributeNames": {"#bank": QUESTIONS.partition},
            "ExpressionAttributeValues": {":bank": to_typed(bank)},
            "Limit": most,
        }
        if before.last_key:
            request["ExclusiveStartKey"] = before.last_key
        answer = self._client.call("Query", request)
        items = (from_item(item) for item in answer["Items"])
        questions = [Question(item["text"], item["category"], tuple(item["expected_points"])) for item in items]
        return _Page(questions, answer.get("LastEvaluatedKey"))

    def _put(self, bank: str, question: Question) -> None:
        item = {
            "text": question.text,
            "category": question.category,
            "expected_points": list(question.expected_points),
            "created_at": int(self._now()),
        }
        request = {
            "TableName": self._table,
            "Item": QUESTIONS.key(bank, question.id) | to_item(item),
            "ConditionExpression": "attribute_not_exists(#bank)",
            "ExpressionAttributeNames": {"#bank": QUESTIONS.partition},
        }
        # Another request may have put the same question a moment ago.
        with suppress(ConditionFailedError):
            self._client.call("PutItem", request)
