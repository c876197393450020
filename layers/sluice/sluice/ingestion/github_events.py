"""Which of GitHub's events are of documents. Pure, and apart from what reads them, which receivers do not need."""

BACKFILL_COMMITS = "backfill:commits"
BACKFILL_ISSUES = "backfill:issues"
BACKFILL_COMMENTS = "backfill:comments"
BACKFILL_REVIEW_COMMENTS = "backfill:review_comments"
BACKFILL_REVIEWS = "backfill:reviews"
"""Events that the backfill makes of what GitHub's REST API lists: {"repository": "<owner>/<name>", "items": [...]}."""

_SENT = frozenset(
    {"push", "pull_request", "pull_request_review", "pull_request_review_comment", "issues", "issue_comment"}
)


_BACKFILLED = frozenset(
    {BACKFILL_COMMITS, BACKFILL_ISSUES, BACKFILL_COMMENTS, BACKFILL_REVIEW_COMMENTS, BACKFILL_REVIEWS}
)


def is_known(event: str) -> bool:
    """Whether an event, of GitHub's or of the backfill, says something of documents."""
    return event in _SENT or event in _BACKFILLED
