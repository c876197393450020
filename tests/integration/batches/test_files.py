"""Files and uploads."""

import hashlib
import os
import time
from typing import Any

import boto3
import httpx
import pytest

from sluice.files import store, uploads
from tests.batches import Batches, jsonl, line
from tests.conftest import Aws


def objects() -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=os.environ["FILES_BUCKET"])
    return [each["Key"] for each in found.get("Contents", [])]


def test_a_file_is_kept_shown_listed_read_and_deleted(batches: Batches) -> None:
    content = jsonl([line("a")])
    made = batches.upload(content).body
    assert made["object"] == "file"
    assert (made["bytes"], made["filename"], made["purpose"]) == (len(content), "questions.jsonl", "batch")
    assert made["expires_at"] - made["created_at"] == 30 * 86_400
    assert batches.send(f"GET /v1/files/{made['id']}").body == made
    assert batches.send("GET /v1/files").body["data"] == [made]
    assert batches.send(f"GET /v1/files/{made['id']}/content").raw.encode() == content
    assert batches.send(f"DELETE /v1/files/{made['id']}").body == {"id": made["id"], "object": "file", "deleted": True}
    for route in ("GET /v1/files/{}", "GET /v1/files/{}/content", "DELETE /v1/files/{}"):
        assert batches.send(route.format(made["id"])).status == 404
    assert objects() == []


def test_a_file_is_its_key_s_alone(batches: Batches) -> None:
    made = batches.upload(b"x\n").body
    for other in (batches.key("acme"), batches.tenant("rival")):
        for route in ("GET /v1/files/{}", "GET /v1/files/{}/content", "DELETE /v1/files/{}"):
            assert batches.send(route.format(made["id"]), api_key=other).status == 404
        assert batches.send("GET /v1/files", api_key=other).body["data"] == []
    assert batches.send(f"GET /v1/files/{made['id']}").status == 200


@pytest.mark.parametrize("file_id", ["file-0", "upload_0", "..", "file-%2e%2e", "batches#acme"])
def test_there_is_no_other_file(batches: Batches, file_id: str) -> None:
    assert batches.send(f"GET /v1/files/{file_id.replace('#', '%23')}").status == 404


def test_files_are_listed_by_purpose_in_either_order_and_in_pages(batches: Batches) -> None:
    made = [batches.upload(b"x\n", purpose=purpose).body["id"] for purpose in ("batch", "user_data", "batch")]

    def listed(**query: str) -> tuple[list[str], bool]:
        page = batches.send("GET /v1/files", query=query).body
        return [each["id"] for each in page["data"]], page["has_more"]

    assert listed() == (made[::-1], False)
    assert listed(order="asc") == (made, False)
    assert listed(purpose="batch") == ([made[2], made[0]], False)
    assert listed(limit="2") == ([made[2], made[1]], True)
    assert listed(limit="2", after=made[1]) == ([made[0]], False)


def test_what_is_no_text_or_large_is_read_by_a_url_that_needs_no_key(batches: Batches) -> None:
    content = bytes(range(256)) * 10
    made = batches.upload(content, purpose="user_data", name="a.bin").body
    answer = batches.send(f"GET /v1/files/{made['id']}/content")
    assert answer.status == 302
    [url] = answer.headers["location"]
    assert httpx.get(url).content == content


def test_an_expired_file_is_gone_before_anybody_has_deleted_it(batches: Batches, aws: Aws) -> None:
    made = batches.upload(b"x\n").body
    [item] = [each for each in aws.items("BATCHES_TABLE") if each["entry"]["S"] == made["id"]]
    aws.client.call("PutItem", {"TableName": aws.table("BATCHES_TABLE"), "Item": {**item, "expires_at": {"N": "1"}}})
    assert batches.send(f"GET /v1/files/{made['id']}").status == 404
    assert batches.send("GET /v1/files").body["data"] == []


def begun(batches: Batches, size: int, **more: Any) -> dict[str, Any]:
    asked = {"filename": "q.jsonl", "purpose": "batch", "bytes": size, "mime_type": "application/jsonl", **more}
    answer = batches.send("POST /v1/uploads", asked)
    assert answer.status == 200, answer.raw
    upload: dict[str, Any] = answer.body
    return upload


def add(batches: Batches, upload: dict[str, Any], content: bytes) -> Any:
    return batches.form(f"POST /v1/uploads/{upload['id']}/parts", {}, {"data": ("blob", content)})


def test_a_file_is_put_together_of_parts_in_the_order_that_is_said(batches: Batches) -> None:
    upload = begun(batches, 6)
    second, first = (add(batches, upload, content).body["id"] for content in (b"def", b"abc"))
    done = batches.send(f"POST /v1/uploads/{upload['id']}/complete", {"part_ids": [first, second]}).body
    assert done["status"] == "completed"
    assert batches.send(f"GET /v1/files/{done['file']['id']}/content").raw == "abcdef"
    # The answer may have got lost.
    again = batches.send(f"POST /v1/uploads/{upload['id']}/complete", {"part_ids": [first, second]}).body
    assert again["file"] == done["file"]
    assert add(batches, upload, b"more").status == 409
    assert batches.send(f"POST /v1/uploads/{upload['id']}/cancel").status == 409


def test_a_large_file_is_put_to_a_url_in_one_request(batches: Batches) -> None:
    content = b"0123456789abcdef" * 1_000_000
    upload = begun(batches, len(content))
    assert httpx.put(upload["url"], content=content, timeout=60).status_code == 200
    done = batches.send(f"POST /v1/uploads/{upload['id']}/complete", {"part_ids": []}).body
    assert done["file"]["bytes"] == len(content)
    answer = batches.send(f"GET /v1/files/{done['file']['id']}/content")
    assert httpx.get(answer.headers["location"][0], timeout=60).content == content


def test_what_does_not_add_up_is_refused(batches: Batches) -> None:
    upload = begun(batches, 6)
    part = add(batches, upload, b"abc").body["id"]
    complete = f"POST /v1/uploads/{upload['id']}/complete"
    assert "3 bytes" in batches.send(complete, {"part_ids": [part]}).error["message"]
    assert batches.send(complete, {"part_ids": [part, "part_0"]}).error["param"] == "part_ids"
    assert batches.send(complete, {"part_ids": []}).error["param"] == "part_ids"
    assert batches.send(f"POST /v1/uploads/{upload['id']}/cancel").body["status"] == "cancelled"
    assert batches.send(complete, {"part_ids": [part, part]}).status == 409


def test_a_file_that_is_not_what_was_sent_is_not_made(batches: Batches) -> None:
    upload = begun(batches, 6)
    parts = [add(batches, upload, content).body["id"] for content in (b"abc", b"def")]
    complete = f"POST /v1/uploads/{upload['id']}/complete"
    digest = hashlib.md5(b"abcdef", usedforsecurity=False).hexdigest()
    assert batches.send(complete, {"part_ids": parts[::-1], "md5": digest}).error["param"] == "md5"
    assert batches.send("GET /v1/files").body["data"] == []
    assert batches.send(complete, {"part_ids": parts, "md5": digest.upper()}).body["status"] == "completed"


def test_an_upload_is_its_key_s_alone(batches: Batches) -> None:
    upload = begun(batches, 3)
    other = batches.tenant("rival")
    assert batches.send(f"POST /v1/uploads/{upload['id']}/complete", {"part_ids": []}, api_key=other).status == 404
    assert batches.send(f"POST /v1/uploads/{upload['id']}/cancel", api_key=other).status == 404


def test_a_file_over_the_bound_is_refused_before_it_is_sent(batches: Batches) -> None:
    asked = {"filename": "q", "purpose": "batch", "bytes": 201 * 1024 * 1024, "mime_type": "a"}
    assert batches.send("POST /v1/uploads", asked).status == 413


@pytest.mark.parametrize("name", ["", "\x00", "a" * 300, "..\\", "x/"])
def test_a_file_has_a_name_that_can_be_read(batches: Batches, name: str) -> None:
    assert batches.upload(b"x", name=name).status == 400


def test_of_a_path_only_the_name_is_kept(batches: Batches) -> None:
    assert batches.upload(b"x", name="../../etc/passwd").body["filename"] == "passwd"


def test_what_is_asked_of_files_counts_as_requests(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLER_REQUESTS_PER_MINUTE", "3")
    batches.restart()
    assert [batches.send("GET /v1/files").status for _ in range(5)] == [200, 200, 200, 429, 429]
    batches.restart()
    assert batches.upload(b"x").status == 429


def part_ids(batches: Batches, upload: dict[str, Any], *contents: bytes) -> list[str]:
    return [add(batches, upload, each).body["id"] for each in contents]


def test_many_parts_are_read_some_at_once_and_put_together_in_order(batches: Batches) -> None:
    contents = [f"{number}\n".encode() for number in range(20)]
    whole = b"".join(contents)
    upload = begun(batches, len(whole))
    ids = part_ids(batches, upload, *contents)
    body = {"part_ids": ids, "md5": hashlib.md5(whole, usedforsecurity=False).hexdigest()}
    done = batches.send(f"POST /v1/uploads/{upload['id']}/complete", body).body
    assert batches.send(f"GET /v1/files/{done['file']['id']}/content").raw.encode() == whole


def test_an_upload_comes_in_so_many_parts_at_most(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_PARTS", 2)
    upload = begun(batches, 3)
    ids = part_ids(batches, upload, b"a", b"b")
    refused = add(batches, upload, b"c")
    assert (refused.status, refused.error["param"]) == (400, "data")
    too_many = {"part_ids": ids * 101}
    assert batches.send(f"POST /v1/uploads/{upload['id']}/complete", too_many).status == 400


def test_parts_with_far_more_bytes_than_the_file_is_to_have_are_refused(batches: Batches) -> None:
    upload = begun(batches, 3)
    assert add(batches, upload, b"1234567").status == 400
    upload = begun(batches, 3)
    # As after an answer that got lost.
    assert len(part_ids(batches, upload, b"abc", b"abc")) == 2
    assert add(batches, upload, b"a").status == 400


@pytest.fixture
def nearly_full(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> Batches:
    """Whose key may have ten bytes, of which four are taken by a file, and three by an upload that is under way."""
    monkeypatch.setattr(store, "_GIGABYTE", 1)
    batches.upload(b"1234", purpose="user_data")
    begun(batches, 3)
    return batches


def test_a_key_whose_files_take_as_much_as_they_may_uploads_no_more_until_it_deletes_some(
    nearly_full: Batches,
) -> None:
    batches = nearly_full
    refused = batches.upload(b"5678")
    assert (refused.status, refused.error["code"]) == (429, "file_storage_exceeded")
    assert "DELETE /v1/files" in refused.error["message"]
    assert refused.headers["x-should-retry"] == ["false"]
    asked = {"filename": "q", "purpose": "batch", "bytes": 4, "mime_type": "a"}
    assert batches.send("POST /v1/uploads", asked).status == 429
    assert batches.upload(b"567").status == 200
    [_, first] = batches.send("GET /v1/files").body["data"]
    batches.send(f"DELETE /v1/files/{first['id']}")
    assert batches.upload(b"5678").status == 200


def test_what_another_key_stores_leaves_room(nearly_full: Batches) -> None:
    nearly_full.api_key = nearly_full.key()
    assert nearly_full.upload(b"0123456789").status == 200


def test_what_has_expired_or_was_given_up_leaves_room(nearly_full: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"filename": "q", "purpose": "batch", "bytes": 3, "mime_type": "a"}
    given_up = nearly_full.send("POST /v1/uploads", asked).body
    assert nearly_full.upload(b"567").status == 429
    nearly_full.send(f"POST /v1/uploads/{given_up['id']}/cancel")
    assert nearly_full.upload(b"567").status == 200
    later = time.time() + 31 * 86_400
    monkeypatch.setattr(nearly_full.app.files, "_clock", lambda: later)
    assert nearly_full.upload(b"567890").status == 200


def test_a_key_has_so_many_files_at_most(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_FILES", 1)
    assert batches.upload(b"x").status == 200
    assert batches.upload(b"x").error["code"] == "file_storage_exceeded"


def test_answers_are_written_whatever_room_there_is(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    batch_id = batches.create([line("a")])["id"]
    monkeypatch.setattr(store, "_GIGABYTE", 1)
    batch = batches.run_until(batch_id)
    assert len(batches.content(batch["output_file_id"])) == 1
    assert batches.upload(b"x").status == 429
