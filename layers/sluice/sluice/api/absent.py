"""What OpenAI's and Anthropic's APIs have and Sluice has not, and what to ask instead. Imported by lost requests alone.

A list of their SDKs' resources holds it (tests/unit/api/test_absent.py): whatever they ask is a route, or stands here.
"""

from collections.abc import Collection, Sequence

from sluice.loading.dataclass import dataclass

_ANY = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Absent:
    """What is asked for at `path` and below it, by its plural name. `instead` says where to look for the like of it.

    In `path`, `{}` is any part. `is_whole`: what is below is not meant.
    """

    path: str
    name: str
    instead: str = ""
    methods: Collection[str] = _ANY
    is_whole: bool = False

    def includes(self, method: str, path: str) -> bool:
        """Whether a request asks for it."""
        wanted, given = self.path.split("/"), path.split("/")
        if method not in self.methods or len(given) < len(wanted) or (self.is_whole and len(given) > len(wanted)):
            return False
        return all(part in ("{}", other) for part, other in zip(wanted, given, strict=False))


_ADMINISTRATION = "POST /v1/tenants and POST /v1/keys are Sluice's own"
_TOOLS = "POST /v1/responses takes tools and goes on from a response"

ABSENT: Sequence[Absent] = (
    Absent("/v1/agents", "agents", _TOOLS),
    Absent("/v1/assistants", "assistants", _TOOLS),
    Absent("/v1/audio", "audio"),
    Absent(
        "/v1/chat/completions",
        "stored chat completions",
        "GET /v1/conversations lists conversations that are kept",
        methods=frozenset({"GET"}),
        is_whole=True,
    ),
    Absent("/v1/chat/completions/{}", "stored chat completions", "GET /v1/conversations/{conversation_id}"),
    Absent("/v1/chatkit", "ChatKit"),
    Absent("/v1/compliance", "compliance reviews", "GET /v1/audit has what was administered"),
    Absent("/v1/containers", "containers"),
    Absent("/v1/content_provenance_checks", "checks of provenance"),
    Absent(
        "/v1/conversations",
        "conversations that are made before something is said",
        "a conversation begins with the first request that names it, by x-sluice-conversation-id or `conversation`",
        methods=frozenset({"POST"}),
        is_whole=True,
    ),
    Absent(
        "/v1/conversations/{}",
        "changes of conversations",
        "GET and DELETE /v1/conversations/{conversation_id} show and delete one",
        methods=frozenset({"POST", "PATCH"}),
        is_whole=True,
    ),
    Absent(
        "/v1/conversations/{}/items", "items of conversations", "GET /v1/conversations/{conversation_id} has its turns"
    ),
    Absent("/v1/decisions", "decisions"),
    Absent("/v1/deployment_runs", "runs of agents"),
    Absent("/v1/deployments", "deployments of agents"),
    Absent("/v1/dreams", "dreams"),
    Absent("/v1/edits", "edits", "POST /v1/chat/completions"),
    Absent("/v1/engines", "engines", "GET /v1/models"),
    Absent("/v1/environments", "environments of agents"),
    Absent("/v1/evals", "evals", "POST /v1/tasks/{name}/compare compares versions of a task"),
    Absent("/v1/fine_tuning", "fine-tuning"),
    Absent("/v1/images", "images"),
    Absent("/v1/live", "live sessions"),
    Absent("/v1/memory_stores", "stores of memories", "POST /v1/vector_stores keeps documents that are searched"),
    Absent("/v1/messages/batches", "batches of messages", "POST /v1/batches takes chats and responses"),
    Absent(
        "/v1/models/{}",
        "deletion of models",
        "models are named in the credentials document",
        methods=frozenset({"DELETE"}),
    ),
    Absent("/v1/organization", "administration of organizations", _ADMINISTRATION),
    Absent("/v1/organizations", "administration of organizations", _ADMINISTRATION),
    Absent("/v1/projects", "projects", _ADMINISTRATION),
    Absent("/v1/realtime", "realtime sessions"),
    Absent("/v1/responses/compact", "compaction of responses", "`truncation` auto leaves out what does not fit"),
    Absent("/v1/safety", "safety cases", "GET /v1/requests shows what was blocked"),
    Absent("/v1/sessions", "sessions of agents", _TOOLS),
    Absent("/v1/skills", "skills"),
    Absent("/v1/threads", "threads", "a conversation is continued by the header x-sluice-conversation-id"),
    Absent("/v1/tunnels", "tunnels"),
    Absent("/v1/user_profiles", "profiles of users", "GET /v1/me"),
    Absent("/v1/vaults", "vaults"),
    Absent("/v1/videos", "videos"),
    Absent(
        "/v1/webhook_endpoints/{}",
        "changes of webhook endpoints",
        "delete one and make another",
        methods=frozenset({"POST", "PATCH"}),
        is_whole=True,
    ),
    Absent("/v1/webhook_endpoints/{}/test", "tests of webhook endpoints"),
    Absent("/v1/webhook_event_types", "lists of events", "docs/webhooks.md names them"),
)

_EVERYTHING = "GET /openapi.json describes all that it has; for the rest, ask a provider itself."


def told_absent(method: str, path: str, shown: str) -> str | None:
    """What a request is told that asks for what only other APIs have; None if it asks for nothing of the kind.

    `shown` is the path as it was sent.
    """
    found = next((each for each in ABSENT if each.includes(method, path)), None)
    if found is None:
        return None
    instead = f" Instead: {found.instead}." if found.instead else ""
    return f"Sluice has no {found.name}: {method} {shown} is not there.{instead} {_EVERYTHING}"
