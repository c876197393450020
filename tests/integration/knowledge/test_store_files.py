"""Files of vector stores, by OpenAI's own SDK over a real socket."""

import io
import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import openai
import pytest
from docx import Document as DocxDocument

from sluice.knowledge import extracting, processing
from sluice.knowledge.vector_store import FileStatus
from tests.fakes.client import FakeProvider
from tests.served_stores import Served
from tests.stores import Knowledge


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


def test_many_files_are_attached_counted_and_cancelled_together(knowledge: Knowledge) -> None:
    app, store, principal = knowledge.app, knowledge.store, knowledge.principal
    batch = app.attached_files.create_batch(store)
    files = [
        app.attached_files.new(f"file-{number:032x}", principal.caller_id, "a.txt").in_batch(batch.id)
        for number in range(60)
    ]
    app.file_processor.attach(principal, store, files[:3])
    app.attached_files.end(store, files[0], status=FileStatus.FAILED)
    # Of the first three, one ended badly and is attached again; two are being read.
    again = [app.attached_files.new(each.id, each.owner, each.filename).in_batch(batch.id) for each in files]
    attached = app.file_processor.attach(principal, store, again)
    assert [each.attempt for each in attached] == [
        (old if number in {1, 2} else new).attempt for number, (old, new) in enumerate(zip(files, again, strict=True))
    ]
    assert app.attached_files.find_batch(store, batch.id).counts["in_progress"] == 60
    assert app.stores.find("acme", store.id).counts["in_progress"] == 60
    assert len(knowledge.items("STORES_TABLE", "open#")) == 61
    cancelled = app.attached_files.cancel_batch(store, batch.id)
    assert {status: count for status, count in cancelled.counts.items() if count} == {"cancelled": 60}


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
        ("bomb.docx", bomb, "invalid_file", "unpacks"),
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
    read = served.add(store, content() if callable(content) else content, name)
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
