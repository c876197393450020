import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.ingestion import github
from sluice.ingestion.change import Change, IgnoredError, NotUnderstoodError
from sluice.ingestion.content import Content, merged
from sluice.ingestion.github_commits import shortened
from sluice.ingestion.github_events import BACKFILL_COMMENTS, BACKFILL_COMMITS, BACKFILL_ISSUES
from sluice.ingestion.source import SourceOptions
from tests.payloads import github_names, github_payload

RECEIVED_MS = 1_795_687_300_000
ALL = SourceOptions()


def changes(name: str, payload: dict[str, Any] | None = None, options: SourceOptions = ALL) -> tuple[Change, ...]:
    event = name.partition(".")[0]
    return github.read(event, github_payload(name) if payload is None else payload, RECEIVED_MS, options).changes


def content(*names: str) -> Content:
    found = None
    for name in names:
        for change in changes(name):
            found = merged(found, change, RECEIVED_MS)
    assert found is not None
    return found


@pytest.mark.parametrize("name", github_names())
def test_each_published_event_says_something_of_a_document(name: str) -> None:
    repository = github_payload(name)["repository"]["full_name"]
    for change in changes(name):
        assert change.document_id.startswith(f"github:{repository}")


def test_a_pull_request_s_text_is_title_description_state_reviews_and_labels() -> None:
    # Of review comments the event has but their number.
    assert github_payload("pull_request.opened")["pull_request"]["review_comments"] == 0
    found = content("pull_request.opened", "pull_request_review_comment.created")
    assert found.kind == "pull_request"
    assert found.text() == (
        "Title: Update the README with new information. | Description: This is a pretty simple change that we need to "
        "pull into master. | State: open | Review: Maybe you should use more emoji on this line."
    )


def test_a_closed_pull_request_says_so_whichever_event_comes_first() -> None:
    assert "State: closed" in content("pull_request.opened", "pull_request.closed").text()
    assert "State: closed" in content("pull_request.closed", "pull_request.opened").text()


def test_a_deleted_review_comment_stays_away_whichever_event_comes_first() -> None:
    names = ["pull_request_review_comment.created", "pull_request_review_comment.deleted"]
    assert "Review:" not in content(*names).text()
    assert "Review:" not in content(*reversed(names)).text()


def test_an_issue_s_comment_is_changed_and_deleted() -> None:
    assert "right away" in content("issues.opened", "issue_comment.created").text()
    for order in (["issue_comment.created", "issue_comment.edited"], ["issue_comment.edited", "issue_comment.created"]):
        text = content("issues.opened", *order).text()
        assert "today" in text
        assert "right away" not in text
    assert "Comment" not in content("issue_comment.deleted", "issue_comment.edited", "issue_comment.created").text()


def test_the_last_two_reviews_and_three_comments_are_part_of_a_text() -> None:
    payload = github_payload("pull_request_review.submitted")
    found = None
    for number in range(1, 6):
        payload["review"] |= {
            "id": number,
            "body": f"**review** {number}",
            "submitted_at": f"2020-01-0{number}T00:00:00Z",
        }
        [change] = changes("pull_request_review", payload)
        found = merged(found, change, RECEIVED_MS)
    assert found is not None
    assert found.text().count("Review: ") == 2
    assert "Review: review 4 | Review: review 5" in found.text()


def test_a_comment_on_a_pull_request_is_the_pull_request_s() -> None:
    payload = github_payload("issue_comment.created")
    payload["issue"]["pull_request"] = {"url": "https://api.github.com/repos/Codertocat/Hello-World/pulls/1"}
    [change] = changes("issue_comment", payload)
    assert change.kind == "pull_request"


@pytest.mark.parametrize("name", ["issues.deleted", "issues.transferred"])
def test_an_issue_that_is_gone_stays_away(name: str) -> None:
    assert content("issues.opened", name).is_deleted
    assert content(name, "issues.opened").is_deleted


def test_a_deletion_counts_though_the_clock_here_is_behind() -> None:
    opened = github_payload("issues.opened")
    opened["issue"]["updated_at"] = "2030-01-01T00:00:00Z"  # ahead of RECEIVED_MS
    deleted = copy.deepcopy(opened) | {"action": "deleted"}
    found = None
    for payload in (opened, deleted):
        for change in changes("issues", payload):
            found = merged(found, change, RECEIVED_MS)
    assert found is not None
    assert found.is_deleted


def push(*commits: dict[str, Any]) -> dict[str, Any]:
    return {"ref": "refs/heads/main", "repository": {"full_name": "acme/app"}, "commits": list(commits)}


def commit(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"{number:040x}",
        "message": "Add a fire alarm\n\nIt rings when *it* burns.\nLoudly.\n\nSigned-off-by: Ada",
        "timestamp": "2026-11-26T10:00:00+01:00",
        "url": "https://github.com/acme/app/commit/1",
        "author": {"name": "Ada", "email": "ada@example.com"},
        "added": ["alarm.py", "bell.py"],
        "modified": ["README.md", "x.py"],
        "removed": [],
        **fields,
    }


def text(change: Change) -> str:
    return Content(kind=change.kind, base=change.base).text()


def test_a_commit_s_text_is_summary_details_and_files() -> None:
    [change] = changes("push", push(commit()))
    assert text(change) == (
        "Message: Add a fire alarm | Details: It rings when *it* burns. Loudly. | Files: alarm.py, bell.py, README.md"
        " | Changes: 2 added, 2 modified, 0 removed"
    )
    assert (change.document_id, change.kind) == (f"github:acme/app@{1:040x}", "commit")


def test_a_listed_commit_says_how_many_lines_changed() -> None:
    item = {
        "sha": f"{1:040x}",
        "html_url": "https://github.com/acme/app/commit/1",
        "commit": {
            "message": "Add a fire alarm",
            "committer": {"date": "2026-11-26T09:00:00Z"},
            "author": {"name": "Ada"},
        },
        "files": [{"filename": "alarm.py", "additions": 10, "deletions": 2}],
    }
    payload = {"repository": "acme/app", "items": [item]}
    [change] = changes(BACKFILL_COMMITS, payload)
    assert text(change) == "Message: Add a fire alarm | Files: alarm.py | Changes: +10 -2"


def test_of_two_ways_to_tell_of_a_commit_the_one_with_files_counts() -> None:
    listed = {"sha": f"{1:040x}", "commit": {"message": "x", "committer": {"date": "2026-11-26T09:00:00Z"}}}
    [poor] = changes(BACKFILL_COMMITS, {"repository": "acme/app", "items": [listed]})
    [rich] = changes("push", push(commit()))
    assert poor.base is not None
    assert rich.base is not None
    assert poor.base.at < rich.base.at


def test_a_shortened_commit_says_the_same() -> None:
    whole = commit(added=[f"{number}.py" for number in range(5_000)])
    [change], [short] = changes("push", push(whole)), changes("push", push(shortened(whole)))
    assert change == short
    assert len(json.dumps(shortened(whole))) < 2_000


def test_one_commit_that_is_none_spoils_no_others() -> None:
    told = push(commit(1), {"id": "no"}, commit(2), commit(3, message=5))
    reading = github.read("push", told, RECEIVED_MS, ALL)
    assert [each.document_id[-1] for each in reading.changes] == ["1", "2"]
    assert reading.problems == ("a commit has no id", "a commit has no message")


def test_a_tag_s_commit_is_read_and_a_deleted_branch_says_nothing() -> None:
    assert len(changes("push", {**push(), "head_commit": commit()})) == 1
    assert changes("push", {**push(), "head_commit": None, "deleted": True}) == ()


def test_lists_of_issues_tell_pull_requests_apart() -> None:
    issue, pull = github_payload("issues.opened")["issue"], github_payload("pull_request.opened")["pull_request"]
    listed = {**issue, "number": 5, "pull_request": {"url": "https://api.github.com/x"}}
    found = changes(BACKFILL_ISSUES, {"repository": "acme/app", "items": [issue, pull, listed]})
    assert [each.kind for each in found] == ["issue", "pull_request", "pull_request"]


def test_listed_comments_find_their_issue_by_its_address() -> None:
    comment = github_payload("issue_comment.created")["comment"]
    [change] = changes(BACKFILL_COMMENTS, {"repository": "acme/app", "items": [comment]})
    assert change.document_id == "github:acme/app#1"
    assert [each.text for each in change.comments] == ["You are totally right! I'll get this fixed right away."]


def test_repositories_that_are_not_taken_are_ignored() -> None:
    with pytest.raises(IgnoredError):
        changes("push", push(commit()), SourceOptions(repositories=("acme/other", "else/*")))
    assert changes("push", push(commit()), SourceOptions(repositories=("ACME/*",)))


def test_an_event_of_no_document_is_ignored() -> None:
    with pytest.raises(IgnoredError):
        changes("star", {"repository": {"full_name": "acme/app"}})


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(github_names()), st.data())
def test_wrong_types_anywhere_crash_nothing(name: str, data: st.DataObject) -> None:
    payload = github_payload(name)
    parts = [payload, *(each for each in payload.values() if isinstance(each, dict) and each)]
    for _ in range(3):
        part = data.draw(st.sampled_from(parts))
        part[data.draw(st.sampled_from(sorted(part)))] = data.draw(VALUES)
    try:
        found = changes(name, payload)
    except (NotUnderstoodError, IgnoredError):
        return
    for change in found:
        merged(None, change, RECEIVED_MS).text().encode()
