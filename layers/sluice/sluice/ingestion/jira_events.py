"""Which of Jira's events are of documents. Pure, and apart from what reads them, which receivers do not need."""

BACKFILL_ISSUES = "backfill:issues"
"""The event that the backfill makes of issues: {"issues": [...]}."""
COMMENT_EVENTS = frozenset({"comment_created", "comment_updated", "comment_deleted"})
ISSUE_EVENTS = frozenset({"jira:issue_created", "jira:issue_updated", "jira:issue_deleted"})


def is_known(event: str) -> bool:
    """Whether an event, of Jira's or of the backfill, says something of documents."""
    return event in ISSUE_EVENTS or event in COMMENT_EVENTS or event == BACKFILL_ISSUES
