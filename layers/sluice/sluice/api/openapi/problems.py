"""The errors of the API: one envelope, OpenAI's, and what each status means."""

from collections.abc import Mapping

from sluice.chat import JsonObject
from sluice.loading.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A status: its name among the document's components, what it means, and one error that has it."""

    name: str
    description: str
    message: str
    type: str
    code: str
    param: str | None = None
    says_when_to_retry: bool = False
    is_inline: bool = False
    """Whether only routes with an envelope of their own answer it."""

    def response(self, schema: JsonObject | None = None, example: object = None) -> JsonObject:
        """As the document's components have it; or with another envelope, an example of which is given."""
        if schema is None:
            schema = {"$ref": "#/components/schemas/Error"}
            error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
            example = {"error": error}
        response: JsonObject = {
            "description": self.description,
            "content": {"application/json": {"schema": schema, "example": example}},
        }
        names = ["x-sluice-request-id", *(["retry-after"] if self.says_when_to_retry else [])]
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        return response


_INVALID = "invalid_request_error"
_OURS = "server_error"

PROBLEMS: Mapping[int, Problem] = {
    400: Problem(
        "BadRequest",
        "The request is malformed, or a guard blocked it: `code` is then the rule's id.",
        "max_tokens: must be greater than or equal to 1.",
        _INVALID,
        "invalid_request",
        "max_tokens",
    ),
    401: Problem(
        "Unauthorized",
        "The API key is missing, malformed, unknown, expired or revoked.",
        "The API key is missing. Send it as 'Authorization: Bearer sl-<id>-<secret>'.",
        "authentication_error",
        "invalid_api_key",
    ),
    403: Problem(
        "Forbidden",
        "The API key's role does not allow this, or its tenant may not use the model.",
        "This needs the role admin; the API key has the role caller.",
        "permission_error",
        "insufficient_role",
    ),
    404: Problem(
        "NotFound",
        "There is no such thing, or it is somebody else's.",
        "There is no model 'gpt-9'.",
        _INVALID,
        "model_not_found",
        "model",
    ),
    409: Problem(
        "Conflict",
        "What was to be created exists already, or somebody else is changing it at this moment; or the first request "
        "with the same idempotency key is under way.",
        "There is a tenant with the id 'school' already.",
        _INVALID,
        "conflict",
        "id",
        says_when_to_retry=True,
    ),
    412: Problem(
        "PreconditionFailed",
        "What was to be changed has another version than `if-match` names.",
        "This was changed in the meantime: it has version 4 now. Look at it and try again.",
        _INVALID,
        "precondition_failed",
        None,
    ),
    413: Problem(
        "PayloadTooLarge",
        "The request body is larger than a function takes.",
        "The request body has 6291457 bytes; at most 6225920 are accepted.",
        _INVALID,
        "request_too_large",
    ),
    422: Problem(
        "IdempotencyKeyReused",
        "The idempotency key was used with another request; or a provider refuses what was asked with this status.",
        "This Idempotency-Key was used within a day, with another path, body or x-sluice-* header.",
        _INVALID,
        "idempotency_key_reused",
        "idempotency-key",
    ),
    429: Problem(
        "TooManyRequests",
        "A limit of the caller, the tenant or every deployment is used up. Nothing was spent.",
        "The limit of 100 requests a minute is used up.",
        "rate_limit_error",
        "rate_limit_exceeded",
        says_when_to_retry=True,
    ),
    500: Problem(
        "InternalError",
        "Sluice failed, and has logged why.",
        "Sluice failed to answer this request, and has logged why.",
        _OURS,
        "internal_error",
    ),
    502: Problem(
        "BadGateway",
        "The model's answer broke a rule that the request or the tenant set, also after asking once more.",
        "The answer is not the JSON that was asked for.",
        _OURS,
        "invalid_answer",
    ),
    503: Problem(
        "Unavailable",
        "Every deployment failed or is switched off, or the storage can't be reached.",
        "No provider could answer.",
        _OURS,
        "no_provider_available",
        says_when_to_retry=True,
    ),
    504: Problem(
        "GatewayTimeout",
        "No answer within the time that was left for the request.",
        "No provider answered in time.",
        _OURS,
        "deadline_exceeded",
    ),
    529: Problem(
        "Overloaded",
        "Every deployment failed, is busy or is switched off.",
        "No provider could answer.",
        _OURS,
        "no_provider_available",
        says_when_to_retry=True,
        is_inline=True,
    ),
}
