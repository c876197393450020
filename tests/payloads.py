"""Events of GitHub, as its users have published them, and of Jira, in the form that Atlassian documents."""

import json
from pathlib import Path
from typing import Any

_GITHUB = Path(__file__).parent / "unit" / "ingestion" / "payloads"
DAY = "2026-11-26"


def github_payload(name: str) -> dict[str, Any]:
    """An event of GitHub by its name: push, issues.opened."""
    found: dict[str, Any] = json.loads((_GITHUB / f"{name}.json").read_text())
    return found


def github_names() -> list[str]:
    """The names of the events there are."""
    return sorted(path.stem for path in _GITHUB.glob("*.json"))


def adf(text: str) -> dict[str, Any]:
    """A text as Atlassian's documents have it."""
    paragraph = {"type": "paragraph", "content": [{"type": "text", "text": text}]}
    return {"type": "doc", "version": 1, "content": [paragraph]}


def jira_fields(**fields: Any) -> dict[str, Any]:
    """What an issue has."""
    return {
        "summary": "The printer is on fire",
        "description": "It burns when I print more than *ten* pages.",
        "issuetype": {"id": "10001", "name": "Bug", "subtask": False},
        "priority": {"id": "2", "name": "High"},
        "status": {"name": "To Do"},
        "project": {"id": "10000", "key": "PROJ", "name": "A project"},
        "labels": ["printer", "fire"],
        "components": [{"id": "1", "name": "Hardware"}],
        "created": f"{DAY}T10:00:00.000+0100",
        "updated": f"{DAY}T10:00:00.000+0100",
        **fields,
    }


def jira_issue(key: str = "PROJ-12", **fields: Any) -> dict[str, Any]:
    """An issue with all of its fields."""
    return {
        "id": "10012",
        "key": key,
        "self": "https://acme.atlassian.net/rest/api/2/issue/10012",
        "fields": jira_fields(**fields),
    }


def jira_comment(comment_id: str, body: Any, at: str = "10:01:00") -> dict[str, Any]:
    """A comment."""
    moment = f"{DAY}T{at}.000+0100"
    return {"id": comment_id, "body": body, "created": moment, "updated": moment, "author": {"displayName": "Ada"}}


def jira_event(event: str = "jira:issue_created", timestamp: int = 1_795_687_200_000, **parts: Any) -> dict[str, Any]:
    """An event of an issue."""
    return {"timestamp": timestamp, "webhookEvent": event, "issue": jira_issue(), **parts}


def jira_comment_event(event: str, comment: dict[str, Any], timestamp: int = 1_795_687_260_000) -> dict[str, Any]:
    """An event of a comment, as Jira Cloud sends it: with few fields of the issue."""
    few = ("summary", "issuetype", "project", "priority", "status")
    issue = jira_issue()
    issue["fields"] = {name: issue["fields"][name] for name in few}
    return {"timestamp": timestamp, "webhookEvent": event, "comment": comment, "issue": issue}
