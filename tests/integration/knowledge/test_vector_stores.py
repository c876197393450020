"""OpenAI's Vector Stores API, by OpenAI's own SDK over a real socket."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import uvicorn
from docx import Document as DocxDocument

from functions.files.app import ROUTES as FILE_ROUTES
from functions.vector_stores.app import ROUTES
from sluice.api.asgi import AsgiApp
from sluice.composition import App
from sluice.knowledge import extracting, processing
from tests.chat_server import eventually
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.fakes.vectors import vector_of
from tests.stores import DIMENSIONS, Knowledge, embeds
from tests.tenants import make_key, make_tenant


class Served:
    """The functions of files and stores on a socket, and the one that works when a test says so."""

    def __init__(self, knowledge: Knowledge, url: str) -> None:
        self.knowledge = knowledge
        self.url = url
        self.client = self.openai(knowledge.api_key)
        self.stores = self.client.vector_stores

    def openai(self, api_key: str) -> openai.OpenAI:
        """The official client, without retries."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=api_key, max_retries=0)

    def upload(self, content: bytes | str, name: str = "notes.txt") -> str:
        """Upload a file; returns its id."""
        body = content.encode() if isinstance(content, str) else content
        return self.client.files.create(file=(name, body), purpose="user_data").id

    def work(self) -> None:
        """Do all that is in the queue."""
        while self.knowledge.deliver():
            pass

    def add(self, store: str, content: bytes | str, name: str = "notes.txt", **fields: Any) -> Any:
        """Take a file into a store and wait for it."""
        file_id = self.upload(content, name)
        self.stores.files.create(store, file_id=file_id, **fields)
        self.work()
        return self.stores.files.retrieve(file_id, vector_store_id=store)

    def texts(self, store: str, query: Any, **fields: Any) -> list[str]:
        """What is found, the nearest first."""
        return [each.content[0].text for each in self.stores.search(store, query=query, **fields)]


@pytest.fixture
def served(knowledge: Knowledge) -> Iterator[Served]:
    """The API on a free port of this machine."""
    app = AsgiApp((*ROUTES, *FILE_ROUTES), App.from_environment())
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(knowledge, f"http://127.0.0.1:{port}")
    server.should_exit = True
    thread.join()


@pytest.fixture
def store(served: Served) -> str:
    """A store."""
    return served.stores.create(name="Handbook").id


def test_a_file_that_is_attached_is_found_by_what_it_says(served: Served, store: str) -> None:
    file_id = served.upload("Printers jam on Mondays.", "printers.txt")
    attached = served.stores.files.create(store, file_id=file_id, attributes={"team": "it", "year": 2026, "open": True})
    assert attached.status == "in_progress"
    assert served.stores.retrieve(store).status == "in_progress"
    served.work()
    read = served.stores.files.retrieve(file_id, vector_store_id=store)
    assert (read.status, read.last_error) == ("completed", None)
    assert read.usage_bytes > 0
    [found] = served.stores.search(store, query="Printers jam on Mondays.")
    assert found.content[0].text == "Printers jam on Mondays."
    assert (found.file_id, found.filename) == (file_id, "printers.txt")
    assert found.score == pytest.approx(1, abs=0.01)
    assert found.attributes == {"team": "it", "year": 2026, "open": True}
    shown = served.stores.retrieve(store)
    assert (shown.status, shown.file_counts.completed, shown.file_counts.total) == ("completed", 1, 1)
    assert shown.usage_bytes > 0
    [content] = served.stores.files.content(file_id, vector_store_id=store)
    assert content.text == "Printers jam on Mondays."
    # The check of tomorrow.
    assert len(served.knowledge.items("STORES_TABLE", "open#")) == 1


def test_stores_are_made_listed_changed_and_deleted(served: Served) -> None:
    made = [served.stores.create(name=f"Store {number}", metadata={"n": str(number)}) for number in range(5)]
    listed = [each.id for each in served.stores.list(limit=2)]
    assert listed[:5] == [each.id for each in reversed(made)]
    page = served.stores.list(limit=2, order="asc", after=made[0].id)
    assert [each.id for each in page.data] == [made[1].id, made[2].id]
    assert page.has_more
    before = served.stores.list(limit=2, order="asc", before=made[4].id)
    assert [each.id for each in before.data] == [made[2].id, made[3].id]
    changed = served.stores.update(
        made[0].id, name="Other", metadata={"a": "b"}, expires_after={"anchor": "last_active_at", "days": 7}
    )
    assert (changed.name, changed.metadata) == ("Other", {"a": "b"})
    assert changed.expires_at
    assert changed.last_active_at
    assert changed.expires_at - changed.last_active_at == 7 * 86_400
    assert served.stores.delete(made[0].id).deleted
    for call in (served.stores.retrieve, served.stores.delete):
        with pytest.raises(openai.NotFoundError):
            call(made[0].id)
    assert made[0].id not in [each.id for each in served.stores.list()]


def test_what_is_in_a_deleted_store_goes(served: Served, store: str) -> None:
    served.add(store, "A text.")
    assert served.knowledge.items("VECTORS_TABLE")
    served.stores.delete(store)
    served.work()
    assert not served.knowledge.items("VECTORS_TABLE")
    for kind in ("texts", "documents", "files"):
        assert not served.knowledge.items("STORES_TABLE", f"{kind}#")


def test_files_are_listed_changed_and_taken_out(served: Served, store: str) -> None:
    first = served.add(store, "The first.", attributes={"n": 1})
    second = served.add(store, "The second.", attributes={"n": 2})
    assert [each.id for each in served.stores.files.list(store)] == [second.id, first.id]
    assert [each.id for each in served.stores.files.list(store, filter="failed")] == []
    before = len(served.knowledge.items("VECTORS_TABLE"))
    changed = served.stores.files.update(first.id, vector_store_id=store, attributes={"n": 3})
    assert changed.attributes == {"n": 3}
    assert len(served.knowledge.items("VECTORS_TABLE")) == before
    assert served.texts(store, "x", filters={"type": "eq", "key": "n", "value": 3}) == ["The first."]
    assert served.stores.files.delete(first.id, vector_store_id=store).deleted
    assert served.texts(store, "The first.") == ["The second."]
    with pytest.raises(openai.NotFoundError):
        served.stores.files.retrieve(first.id, vector_store_id=store)
    assert served.stores.retrieve(store).file_counts.total == 1
    # And in again.
    served.stores.files.create(store, file_id=first.id)
    served.work()
    assert served.texts(store, "The first.")[0] == "The first."


def test_a_batch_of_files_is_attached_and_cancelled(served: Served, store: str) -> None:
    ids = [served.upload(f"Text number {number}.") for number in range(3)]
    batches = served.stores.file_batches
    batch = batches.create(store, file_ids=ids, attributes={"a": 1})
    assert (batch.status, batch.file_counts.in_progress) == ("in_progress", 3)
    served.work()
    done = batches.retrieve(batch.id, vector_store_id=store)
    assert (done.status, done.file_counts.completed) == ("completed", 3)
    assert {each.id for each in batches.list_files(batch.id, vector_store_id=store)} == set(ids)
    with pytest.raises(openai.ConflictError):
        batches.cancel(batch.id, vector_store_id=store)
    another = batches.create(store, files=[{"file_id": served.upload("Never read."), "attributes": {"b": 2}}])
    cancelled = batches.cancel(another.id, vector_store_id=store)
    assert (cancelled.status, cancelled.file_counts.cancelled) == ("cancelled", 1)
    served.work()
    assert "Never read." not in served.texts(store, "Never read.")
    assert served.stores.retrieve(store).file_counts.cancelled == 1


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"type": "eq", "key": "team", "value": "it"}, {"a", "b"}),
        ({"type": "ne", "key": "team", "value": "it"}, {"c"}),
        ({"type": "gte", "key": "year", "value": 2025}, {"b", "c"}),
        ({"type": "lt", "key": "year", "value": 2025}, {"a"}),
        ({"type": "in", "key": "year", "value": [2024, 2026]}, {"a", "c"}),
        ({"type": "nin", "key": "team", "value": ["hr"]}, {"a", "b"}),
        (
            {
                "type": "or",
                "filters": [
                    {
                        "type": "and",
                        "filters": [
                            {"type": "eq", "key": "team", "value": "it"},
                            {"type": "gt", "key": "year", "value": 2024},
                        ],
                    },
                    {"type": "eq", "key": "year", "value": 2026},
                ],
            },
            {"b", "c"},
        ),
    ],
)
def test_filters_narrow_what_is_found(served: Served, store: str, filters: Any, expected: set[str]) -> None:
    for text, team, year in (("a", "it", 2024), ("b", "it", 2025), ("c", "hr", 2026)):
        served.add(store, text, attributes={"team": team, "year": year})
    assert set(served.texts(store, "a", filters=filters)) == expected


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"filters": {"type": "like", "key": "a", "value": "b"}}, "eq, ne, gt"),
        ({"filters": {"type": "in", "key": "a", "value": "b"}}, "a list of"),
        ({"filters": {"type": "and", "filters": []}}, "at least one"),
        ({"filters": {"type": "gt", "key": "a", "value": True}}, "text or a number"),
        ({"max_num_results": 51}, "max_num_results"),
        ({"rewrite_query": True}, "not rewritten"),
        ({"ranking_options": {"score_threshold": 2}}, "score_threshold"),
        ({"extra_body": {"vector": [1.0] * 3}}, "one of query, vector and document_id"),
        ({"query": ""}, "query"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(served: Served, store: str, fields: Any, said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        served.stores.search(store, **{"query": "x", **fields})


def test_search_by_several_texts_by_a_vector_and_by_a_document(served: Served, store: str) -> None:
    first = served.add(store, "The first.")
    served.add(store, "Another, longer one.")
    assert served.texts(store, ["The first.", "Another, longer one."], max_num_results=2)[0] in {
        "The first.",
        "Another, longer one.",
    }
    post = served.client.post
    by_vector: Any = post(
        f"/vector_stores/{store}/search", body={"vector": vector_of("The first.", DIMENSIONS)}, cast_to=object
    )
    assert by_vector["data"][0]["content"][0]["text"] == "The first."
    like: Any = post(f"/vector_stores/{store}/search", body={"document_id": first.id}, cast_to=object)
    assert [each["content"][0]["text"] for each in like["data"]] == ["Another, longer one."]
    with pytest.raises(openai.BadRequestError, match="256"):
        post(f"/vector_stores/{store}/search", body={"vector": [1.0, 2.0]}, cast_to=object)
    with pytest.raises(openai.NotFoundError):
        post(f"/vector_stores/{store}/search", body={"document_id": "nothing"}, cast_to=object)


def test_a_rare_attribute_is_found_among_more_than_the_index_answers(served: Served, store: str) -> None:
    lines = [
        {
            "id": f"l{number}",
            "text": (text := f"Line {number:03d}."),
            "vector": vector_of(text, DIMENSIONS),
            "attributes": {"rare": number == 7},
        }
        for number in range(130)
    ]
    assert served.add(store, "\n".join(map(json.dumps, lines)), "lines.jsonl").status == "completed"
    rare = {"type": "eq", "key": "rare", "value": True}
    far = "A query that is much longer than any of the lines, and so far away."
    assert served.texts(store, far, filters=rare) == ["Line 007."]


def docx(*lines: str) -> bytes:
    made = DocxDocument()
    for line in lines:
        made.add_paragraph(line)
    table = made.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    content = io.BytesIO()
    made.save(content)
    return content.getvalue()


def pdf(text: str) -> bytes:
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % each for each in offsets)
    end = b"xref\n0 6\n0000000000 65535 f \n%strailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return body + end % (table, len(body))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "Plain text: a < b and c > d.", "Plain text: a < b and c > d."),
        (
            "a.md",
            "# Title\n\nSome *text* and `code`.\n\n| a | b |\n| - | - |\n| 1 | 2 |\n",
            "Title\n\nSome text and code.",
        ),
        (
            "a.html",
            "<html><head><title>No</title><script>no()</script></head><p>a &lt; b</p><p>More.</p>",
            "a < b\n\nMore.",
        ),
        ("a.json", '{"a": [1, "two"]}', '{\n "a": [\n  1,\n  "two"\n ]\n}'),
        ("a.csv", "name,age\nAda,36\nGrace,85\n", "name: Ada | age: 36\nname: Grace | age: 85"),
        ("a.docx", docx("A paragraph.", "Another."), "A paragraph.\nAnother.\nleft | right"),
        ("a.pdf", pdf("Hello from a page."), "Hello from a page."),
        ("a.py", "print('hello')", "print('hello')"),
    ],
)
def test_texts_are_read_of_all_formats(served: Served, store: str, name: str, content: Any, expected: str) -> None:
    read = served.add(store, content, name)
    assert read.last_error is None
    [found] = served.texts(store, "x")
    assert found.startswith(expected)


def bomb() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx("x"))) as source, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in source.infolist():
            archive.writestr(each, source.read(each))
        archive.writestr("word/media/zeros.xml", b"\0" * (210 * 1024 * 1024))
    return made.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("a.exe", b"MZ\0\0\1\2", "unsupported_file", "binary"),
        ("a.png", b"\x89PNG\xff\xfe", "unsupported_file", "UTF-8"),
        ("a.pdf", b"%PDF-1.4 nothing", "invalid_file", "PDF"),
        ("a.docx", b"PK nothing", "invalid_file", "DOCX"),
        ("bomb.docx", bomb(), "invalid_file", "unpacks"),
        ("a.json", "{not json", "invalid_file", "JSON"),
        ("deep.json", "[" * 200_000, "invalid_file", "JSON"),
        ("a.txt", " \n ", "invalid_file", "no text"),
        ("a.jsonl", '{"id": "a"}', "invalid_file", "Line 1"),
        ("b.jsonl", '{"id": "a", "text": "x", "vector": [1, 2]}', "invalid_file", "256"),
        ("c.jsonl", json.dumps({"id": "a", "text": "x", "vector": [0] * 256}), "invalid_file", "not all of them 0"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    served: Served, store: str, name: str, content: Any, code: str, said: str
) -> None:
    read = served.add(store, content, name)
    assert read.status == "failed"
    assert read.last_error is not None
    assert read.last_error.code == code
    assert said in read.last_error.message
    counts = served.stores.retrieve(store).file_counts
    assert (counts.failed, counts.in_progress) == (1, 0)
    assert not served.knowledge.items("VECTORS_TABLE")


def test_a_file_that_is_made_to_be_slow_ends_its_reader_and_nothing_else(
    served: Served, store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A page that calls itself a thousand times over in each of many steps.
    real = extracting.text_of
    monkeypatch.setattr(processing, "text_of", lambda name, content: real(name, content, 2.0))
    slow = pdf("x").replace(b"Tj ET", b"Tj ET " + b"(y) Tj " * 3_000_000)
    read = served.add(store, slow, "slow.pdf")
    assert read.status == "failed"
    assert read.last_error is not None
    assert "2 s" in read.last_error.message


def test_vectors_that_exist_elsewhere_come_in_as_lines(served: Served, store: str, fake: FakeProvider) -> None:
    lines = [
        {
            "id": f"doc-{number}",
            "text": f"Text {number}.",
            "vector": vector_of(f"Text {number}.", DIMENSIONS),
            "attributes": {"n": number},
            "title": f"Title {number}",
            "url": "https://example.com/",
        }
        for number in range(3)
    ]
    read = served.add(store, "\n".join(map(json.dumps, lines)), "vectors.jsonl")
    assert read.status == "completed"
    assert not fake.requests()
    found = served.stores.search(store, query="Text 1.", max_num_results=1).data[0]
    assert (found.content[0].text, found.filename, found.attributes, found.file_id) == (
        "Text 1.",
        "Title 1",
        {"n": 1},
        read.id,
    )
    served.stores.files.delete(read.id, vector_store_id=store)
    assert not served.knowledge.items("VECTORS_TABLE")


def test_a_static_strategy_is_followed_and_bounded(served: Served, store: str) -> None:
    text = " ".join(f"Sentence {number}." for number in range(300))
    sizes = {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 50}
    read = served.add(store, text, chunking_strategy={"type": "static", "static": sizes})
    assert read.chunking_strategy.static.max_chunk_size_tokens == 200
    chunks = list(served.stores.files.content(read.id, vector_store_id=store))
    assert len(chunks) > 4
    with pytest.raises(openai.BadRequestError, match="100 to 4096"):
        served.add(store, text, chunking_strategy={"type": "static", "static": {**sizes, "max_chunk_size_tokens": 99}})


def test_two_attach_calls_at_once_and_the_same_message_twice_are_one(
    served: Served, store: str, fake: FakeProvider
) -> None:
    file_id = served.upload("Once.")
    threads = [
        threading.Thread(target=served.stores.files.create, args=(store,), kwargs={"file_id": file_id})
        for _ in range(2)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert served.stores.retrieve(store).file_counts.total == 1
    body = served.knowledge.peek()
    served.knowledge.hand(body)
    served.knowledge.hand(body)
    served.work()
    counts = served.stores.retrieve(store).file_counts
    assert (counts.completed, counts.in_progress, counts.total) == (1, 0, 1)
    assert len(fake.requests()) == 1
    assert len(served.knowledge.items("VECTORS_TABLE")) == 1


def test_nothing_of_another_tenant_is_there(served: Served, store: str) -> None:
    file_id = served.add(store, "A secret.").id
    batch = served.stores.file_batches.create(store, file_ids=[file_id]).id
    other = served.openai(make_tenant(served.knowledge.app, "globex")).vector_stores
    own = other.create(name="Own").id
    calls: list[Any] = [
        lambda: other.retrieve(store),
        lambda: other.update(store, name="x"),
        lambda: other.delete(store),
        lambda: other.search(store, query="A secret."),
        lambda: other.files.create(store, file_id=file_id),
        lambda: other.files.create(own, file_id=file_id),
        lambda: other.files.list(store),
        lambda: other.files.retrieve(file_id, vector_store_id=store),
        lambda: other.files.retrieve(file_id, vector_store_id=own),
        lambda: other.files.update(file_id, vector_store_id=store, attributes={}),
        lambda: other.files.delete(file_id, vector_store_id=store),
        lambda: other.files.content(file_id, vector_store_id=store),
        lambda: other.file_batches.create(store, file_ids=[file_id]),
        lambda: other.file_batches.create(own, file_ids=[file_id]),
        lambda: other.file_batches.retrieve(batch, vector_store_id=store),
        lambda: other.file_batches.retrieve(batch, vector_store_id=own),
        lambda: other.file_batches.cancel(batch, vector_store_id=store),
        lambda: other.file_batches.list_files(batch, vector_store_id=store),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError):
            call()
    assert [each.id for each in other.list()] == [own]
    assert not list(other.search(own, query="A secret."))
    # Keys of one tenant share its stores, and not their files.
    colleague = served.openai(make_key(served.knowledge.app, "acme")).vector_stores
    assert [each.content[0].text for each in colleague.search(store, query="A secret.")] == ["A secret."]
    with pytest.raises(openai.NotFoundError):
        colleague.files.create(store, file_id=file_id)


def test_a_store_that_expired_finds_and_takes_nothing(served: Served, store: str) -> None:
    served.add(store, "A text.")
    found = served.knowledge.app.stores.find("acme", store)
    served.knowledge.app.stores.change(found, {"expires_after_days": 1, "last_active_at": 1_600_000_000})
    assert served.stores.retrieve(store).status == "expired"
    for call in (lambda: served.stores.search(store, query="x"), lambda: served.add(store, "More.")):
        with pytest.raises(openai.BadRequestError, match="expired"):
            call()


def test_a_store_is_made_of_a_model_that_embeds(served: Served) -> None:
    def create(**fields: Any) -> Any:
        return served.stores.create(extra_body=fields)

    assert create(embedding_model="embed").to_dict()["sluice"]["dimensions"] == DIMENSIONS
    for fields, said in (
        ({"embedding_model": "small"}, "it can be embed"),
        ({"embedding_model": "nothing"}, "it can be embed"),
        ({"embedding_dimensions": 100}, "256 only"),
        ({"embedding_dimensions": 257}, "256 only"),
    ):
        with pytest.raises(openai.BadRequestError, match=said):
            create(**fields)


def test_another_model_answers_once_all_its_vectors_are_there(
    served: Served, store: str, aws: Aws, fake: FakeProvider
) -> None:
    for number in range(3):
        served.add(store, f"Text {number}.")
    embedder = {
        "vectors": {"dimensions": 768},
        "context_window": 8_192,
        "price": {"prompt_usd": 1, "completion_usd": 0},
    }
    old = {
        "vectors": {"dimensions": DIMENSIONS},
        "context_window": 8_192,
        "price": {"prompt_usd": 1, "completion_usd": 0},
    }
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model(), "embed": old, "wider": embedder}))
    served.knowledge.restart()
    maker = served.knowledge.app.rebuilder
    found = served.knowledge.app.stores.find("acme", store)
    maker.begin(served.knowledge.principal, found, "wider", None)
    shown: Any = served.stores.retrieve(store).to_dict()
    assert (shown["status"], shown["sluice"]["next_embedding_model"]) == ("in_progress", "wider")
    assert served.texts(store, "Text 1.", max_num_results=1) == ["Text 1."]
    fake.configure(embeddings={"dimensions": 768})
    served.work()
    shown = served.stores.retrieve(store).to_dict()
    assert (shown["status"], shown["sluice"]["embedding_model"]) == ("completed", "wider")
    assert {each.partition("#wider#")[1] for each in served.knowledge.items("VECTORS_TABLE")} == {"#wider#"}
    assert len(served.knowledge.items("VECTORS_TABLE")) == 3


def test_a_file_waits_for_a_provider_and_is_taken_in_then(
    served: Served, store: str, aws: Aws, fake: FakeProvider
) -> None:
    aws.set_credentials()
    served.knowledge.restart()
    file_id = served.upload("Later.")
    served.stores.files.create(store, file_id=file_id)
    served.knowledge.deliver()
    assert served.stores.files.retrieve(file_id, vector_store_id=store).status == "in_progress"
    embeds(aws, fake)
    served.knowledge.restart()
    app = served.knowledge.app
    file = app.attached_files.find(app.stores.find("acme", store), file_id)
    body = {"tenant": "acme", "caller": served.knowledge.principal.caller_id, "store": store, "kind": "file"}
    body |= {"file": file_id, "attempt": file.attempt}
    served.knowledge.hand(json.dumps(body))
    assert served.stores.files.retrieve(file_id, vector_store_id=store).status == "completed"
    assert served.texts(store, "Later.") == ["Later."]


def test_the_quality_of_a_store_is_shown(served: Served, store: str, aws: Aws) -> None:
    served.add(store, "The same text.")
    served.add(store, "The same text.")
    served.add(store, "Another text, which is longer.")
    aws.set_credentials()
    served.knowledge.restart()
    served.add(store, "Without vectors.")
    found: Any = served.client.get(f"/vector_stores/{store}/quality", cast_to=object)
    assert (found["documents"], found["coverage"], found["total_embeddings"]) == (4, 0.75, 3)
    assert [each["documents"] for each in found["lacking"]] == [1]
    assert "embed" in found["lacking"][0]["reason"]
    assert (found["duplicate_rate"], found["quality_score"]) == (0, 1)
    assert found["duplicate_text_rate"] == pytest.approx(1 / 3)
    assert found["dimension_consistency"]
