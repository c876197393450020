from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.ingestion import jira
from sluice.ingestion.change import Change, IgnoredError, NotUnderstoodError
from sluice.ingestion.content import Content, merged
from sluice.ingestion.source import SourceOptions
from tests.payloads import adf, jira_comment, jira_comment_event, jira_event, jira_fields, jira_issue

RECEIVED_MS = 1_795_687_300_000
ALL = SourceOptions()


def changes(payload: dict[str, Any], options: SourceOptions = ALL) -> tuple[Change, ...]:
    return jira.read(payload["webhookEvent"], payload, RECEIVED_MS, options).changes


def content(*payloads: dict[str, Any]) -> Content:
    found = None
    for payload in payloads:
        for change in changes(payload):
            found = merged(found, change, RECEIVED_MS)
    assert found is not None
    return found


def test_an_issue_s_text_is_its_fields_in_their_order() -> None:
    fields = {"customfield_10010": "Steps to see it happen", "customfield_10011": "short"}
    comments = [jira_comment(str(number), f"remark {number}", f"10:0{number}:00") for number in range(1, 6)]
    issue = jira_issue(**fields, comment={"comments": comments, "total": 5, "maxResults": 5, "startAt": 0})
    assert content(jira_event(issue=issue)).text() == (
        "Title: The printer is on fire | Description: It burns when I print more than ten pages. | Type: Bug | "
        "Priority: High | Field: Steps to see it happen | Comment: remark 3 | Comment: remark 4 | Comment: remark 5 | "
        "Labels: printer, fire | Components: Hardware"
    )


def test_documents_and_strings_say_the_same() -> None:
    text = "It burns when I print more than ten pages."
    of_document = content(jira_event(issue=jira_issue(description=adf(text))))
    assert of_document.text() == content(jira_event(issue=jira_issue(description=text))).text()


def test_types_and_priorities_may_be_strings() -> None:
    of_strings = jira_issue(issuetype="Bug", priority="High", components=["Hardware"])
    assert content(jira_event(issue=of_strings)).text() == content(jira_event()).text()


def test_what_an_issue_lacks_is_left_out() -> None:
    bare = {"key": "PROJ-12", "fields": {"summary": "Bare", "description": None, "priority": None, "labels": None}}
    assert content(jira_event(issue=bare)).text() == "Title: Bare"


def test_a_document_has_the_key_the_page_and_the_facts_of_its_issue() -> None:
    [change] = changes(jira_event())
    assert change.document_id == "jira:PROJ-12"
    assert change.base is not None
    assert change.base.url == "https://acme.atlassian.net/browse/PROJ-12"
    assert change.base.attributes == {
        "source": "jira",
        "project": "PROJ",
        "key": "PROJ-12",
        "type": "Bug",
        "priority": "High",
        "status": "To Do",
    }


def test_a_comment_of_the_cloud_comes_beside_an_issue_of_which_little_is_said() -> None:
    comment = jira_comment_event("comment_created", jira_comment("7", adf("Use water.")))
    text = content(jira_event(), comment).text()
    assert "It burns when I print more than ten pages." in text
    assert "Comment: Use water." in text
    assert content(comment, jira_event()).text() == text
    assert content(comment).text() == "Title: The printer is on fire | Type: Bug | Priority: High | Comment: Use water."


def test_a_comment_changes_and_goes() -> None:
    created = jira_comment_event("comment_created", jira_comment("7", "Use water."))
    updated = jira_comment_event("comment_updated", jira_comment("7", "Use foam.", "10:05:00"))
    deleted = jira_comment_event("comment_deleted", jira_comment("7", "Use foam.", "10:05:00"))
    assert "Use foam." in content(jira_event(), created, updated).text()
    assert "Use foam." in content(jira_event(), updated, created).text()
    assert "Comment" not in content(jira_event(), created, updated, deleted).text()
    assert "Comment" not in content(jira_event(), deleted, updated, created).text()


def test_a_list_of_all_comments_takes_away_the_others() -> None:
    first, second = jira_comment("1", "first", "09:01:00"), jira_comment("2", "second", "09:02:00")
    both = jira_issue(comment={"comments": [first, second], "total": 2})
    later = jira_issue(comment={"comments": [second], "total": 1}, updated="2026-11-26T10:30:00.000+0100")
    assert "first" in content(jira_event(issue=both)).text()
    assert "first" not in content(jira_event(issue=both), jira_event(issue=later)).text()
    a_page = jira_issue(comment={"comments": [second], "total": 2}, updated="2026-11-26T10:30:00.000+0100")
    assert "first" in content(jira_event(issue=both), jira_event(issue=a_page)).text()


def test_a_data_center_s_comment_without_its_issue_is_left_to_the_other_event() -> None:
    alone = {"timestamp": 1, "webhookEvent": "comment_created", "comment": jira_comment("7", "x")}
    with pytest.raises(IgnoredError):
        changes(alone)
    beside = jira_event("jira:issue_updated", issue_event_type_name="issue_commented", comment=jira_comment("7", "x y"))
    assert "Comment: x y" in content(beside).text()
    gone = jira_event(
        "jira:issue_updated", issue_event_type_name="issue_comment_deleted", comment=jira_comment("7", "x")
    )
    assert "Comment" not in content(beside, gone).text()


def test_custom_fields_are_those_that_people_wrote_or_that_were_asked_for() -> None:
    fields: dict[str, Any] = {
        "customfield_1": "Ten chars.",
        "customfield_2": "Eleven char",
        "customfield_3": adf("A document of some length"),
        "customfield_4": {"value": "Chosen from a list", "id": "9"},
        "customfield_5": [{"value": "Several of them"}, {"value": "and more"}],
        "customfield_6": "2026-11-26T10:00:00.000+0100",
        "customfield_7": "0|i0000f:zzzzzzzz",
        "customfield_8": ["com.atlassian.greenhopper.service.sprint.Sprint@1f39706e[id=1,name=Sprint]"],
        "customfield_9": 1234567890123,
        "customfield_11": "Tue Jul 30 22:06:22 UTC 2019",
        "customfield_12": ["ada.lovelace(ada.lovelace)", "grace.hopper(grace.hopper)"],
        "customfield_13": "Since Jul 30 it fails (it never did before)",
        "customfield_x": "not the name of a field",
    }
    issue = jira_issue(**fields)
    [change] = changes(jira_event(issue=issue))
    assert change.base is not None
    found = [text for label, text in change.base.leading if label == "Field"]
    assert found == [
        "Eleven char",
        "A document of some length",
        "Chosen from a list",
        "Several of them, and more",
        "Since Jul 30 it fails (it never did before)",
    ]
    [change] = changes(jira_event(issue=issue), SourceOptions(custom_fields=("customfield_3",)))
    assert change.base is not None
    assert [text for label, text in change.base.leading if label == "Field"] == ["A document of some length"]


def test_a_deleted_issue_is_gone_whichever_event_comes_first() -> None:
    deleted = jira_event("jira:issue_deleted", timestamp=1_795_690_000_000)
    assert content(jira_event(), deleted).is_deleted
    assert content(deleted, jira_event()).is_deleted
    comment = jira_comment_event("comment_created", jira_comment("7", "late"))
    assert content(deleted, comment).is_deleted


def test_an_issue_that_moved_leaves_its_former_key() -> None:
    moved = jira_event(
        "jira:issue_updated",
        issue=jira_issue("OTHER-3"),
        changelog={"items": [{"field": "Key", "fromString": "PROJ-12", "toString": "OTHER-3"}]},
    )
    former, new = changes(moved)
    assert (former.document_id, former.deleted_at is not None) == ("jira:PROJ-12", True)
    assert new.document_id == "jira:OTHER-3"


def test_projects_that_are_not_taken_are_ignored() -> None:
    with pytest.raises(IgnoredError):
        changes(jira_event(), SourceOptions(projects=("OTHER",)))
    assert changes(jira_event(), SourceOptions(projects=("proj",)))


@pytest.mark.parametrize("issue", [None, [], "x", {}, {"key": 5}, {"key": "no key"}, {"key": "PROJ-1\n"}])
def test_an_issue_without_a_key_is_not_understood(issue: Any) -> None:
    with pytest.raises(NotUnderstoodError):
        changes(jira_event(issue=issue))


def test_what_is_too_long_is_cut_and_named() -> None:
    [change] = changes(jira_event(issue=jira_issue(description="word " * 10_000)))
    assert change.trimmed == ("description",)
    assert change.base is not None
    assert len(dict(change.base.leading)["Description"]) <= 20_003


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*jira_fields(), "comment", "comments", "customfield_1"])


@given(st.dictionaries(FIELDS, VALUES, max_size=6), VALUES, VALUES)
def test_wrong_types_anywhere_crash_nothing(fields: dict[str, Any], comment: Any, changelog: Any) -> None:
    payload = jira_event("jira:issue_updated", issue=jira_issue(**fields), comment=comment, changelog=changelog)
    try:
        found = content(payload)
    except (NotUnderstoodError, IgnoredError):
        return
    found.text().encode()
