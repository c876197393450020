"""Everything that can go wrong, each error knowing the HTTP answer it becomes.

Raised where the fault is known, turned into OpenAI's envelope in one place (`sluice.api.envelope`).
"""

from collections.abc import Sequence

NO_KNOWN_WORDS = "no_known_words"
"""The code of a request for the vector of a text that the model knows nothing of."""


class SluiceError(Exception):
    """An error with an answer: `status` (HTTP), `type`, `code` and `param` as in OpenAI's error object."""

    status = 500
    type = "server_error"
    code: str | None = "internal_error"
    may_pass = True
    """Whether the same request may fare better when a client sends it again by itself."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to this error."""
        return {}


class InvalidRequestError(SluiceError):
    """The request is malformed; `param` names the field."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class ContextOverflowError(InvalidRequestError):
    """The prompt, with the completion asked for, does not fit the model's context window."""

    code = "context_length_exceeded"


class GuardBlockedError(InvalidRequestError):
    """A guard rule in mode `block` matched; `code` is the rule's id."""


class GuardUnavailableError(SluiceError):
    """A guard model could not judge, and its tenant lets nothing pass that is not judged."""

    status = 503
    type = "server_error"
    code = "guard-model-unavailable"

    def __init__(self, message: str, *, retry_after_s: int | None = None, may_pass: bool = True) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.may_pass = may_pass

    @property
    def headers(self) -> dict[str, str]:
        """`retry-after`, in seconds, when waiting helps."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


class PayloadTooLargeError(SluiceError):
    """The request body is over what API Gateway accepts."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class AuthenticationError(SluiceError):
    """The API key is missing, malformed, unknown, expired or revoked."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"

    @property
    def headers(self) -> dict[str, str]:
        """`www-authenticate`, which HTTP wants with this status (RFC 9110, section 15.5.2)."""
        return {"www-authenticate": "Bearer"}


class InvalidTokenError(AuthenticationError):
    """The JSON Web Token of a login is not one that is taken here, or says too little."""

    code = "invalid_token"

    @property
    def headers(self) -> dict[str, str]:
        """`www-authenticate`, with the error that RFC 6750 has for it."""
        return {"www-authenticate": 'Bearer error="invalid_token"'}


class PermissionDeniedError(SluiceError):
    """The API key is valid, but its role does not allow this."""

    status = 403
    type = "permission_error"
    code = "insufficient_role"


class FeatureDisabledError(PermissionDeniedError):
    """The tenant's own people have turned this off."""

    code = "feature_disabled"


class NotFoundError(SluiceError):
    """There is no such model, key or route."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class MethodNotAllowedError(SluiceError):
    """There is such a route, but not for this HTTP method."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, message: str, *, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)

    @property
    def headers(self) -> dict[str, str]:
        """`allow`, which HTTP wants with this status (RFC 9110, section 15.5.6)."""
        return {"allow": ", ".join(self.allowed)}


class ConflictError(SluiceError):
    """What was to be created exists already, or was changed by somebody else in the meantime."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"


class PreconditionFailedError(SluiceError):
    """What was to be changed is not what the caller saw: its version is another than `if-match` names."""

    status = 412
    type = "invalid_request_error"
    code = "precondition_failed"


class RequestUnderWayError(ConflictError):
    """Another request with the same idempotency key is being answered; its answer will be there in some seconds."""

    code = "idempotency_key_in_use"

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message, param=param, code=code)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """`retry-after`, in seconds."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


class KeptAnswerTooLargeError(ConflictError):
    """The first request with the same idempotency key was answered, and its answer was too large to be kept."""

    code = "idempotent_answer_too_large"
    may_pass = False


class KeyReusedError(SluiceError):
    """The idempotency key was used with another request."""

    status = 422
    type = "invalid_request_error"
    code = "idempotency_key_reused"
    may_pass = False


class ReplayedError(SluiceError):
    """The error that the first request with the same idempotency key was answered with; `headers` say so."""

    may_pass = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = SluiceError.code,
        type: str = SluiceError.type,
        status: int = SluiceError.status,
    ) -> None:
        super().__init__(message, param=param)
        self.status = status
        self.type = type
        self.code = code
        self.replay_headers: dict[str, str] = {}

    @property
    def headers(self) -> dict[str, str]:
        """That it is a replay, and of what."""
        return self.replay_headers


class QuotaExceededError(SluiceError):
    """A limit is used up. `retry_after_s` is in whole seconds, None when waiting does not help."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after_s: int | None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s
        self.may_pass = retry_after_s is not None

    @property
    def headers(self) -> dict[str, str]:
        """`retry-after`, in seconds, when waiting helps."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


class InvalidAnswerError(SluiceError):
    """The model's answer broke a rule that the request or the tenant set, also after asking once more."""

    status = 502
    type = "server_error"
    code = "invalid_answer"
    # It was asked twice, and each answer was paid for.
    may_pass = False


class InterruptedAnswerError(SluiceError):
    """A streamed answer broke off after it had begun, so no other deployment could take over."""

    status = 502
    type = "server_error"
    code = "answer_interrupted"


class NoProviderError(SluiceError):
    """Every deployment that could have answered failed or is switched off."""

    status = 503
    type = "server_error"
    code = "no_provider_available"

    def __init__(
        self, message: str, *, tried: Sequence[str] = (), retry_after_s: int | None = None, may_pass: bool = True
    ) -> None:
        super().__init__(message)
        self.tried = tuple(tried)
        self.retry_after_s = retry_after_s
        self.may_pass = may_pass

    @property
    def headers(self) -> dict[str, str]:
        """`retry-after`, in seconds, when some of the deployments are only out of quota."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


class LedgerUnavailableError(SluiceError):
    """A reservation could not be made, so the request is refused rather than let through uncounted."""

    status = 503
    type = "server_error"
    code = "quota_unavailable"


class StorageUnavailableError(SluiceError):
    """DynamoDB or Secrets Manager does not answer, or refuses."""

    status = 503
    type = "server_error"
    code = "storage_unavailable"


class IssuerUnavailableError(SluiceError):
    """The issuer of logins does not hand out its keys, and none are known."""

    status = 503
    type = "server_error"
    code = "issuer_unavailable"


class DeadlineExceededError(SluiceError):
    """No answer within the time that was left for the request."""

    status = 504
    type = "server_error"
    code = "deadline_exceeded"


class ProviderError(Exception):
    """A provider call failed. Adapters raise its children; the router decides what follows.

    `was_sent`: bytes of the request may have reached the provider, so that it may count a request. `may_be_billed`: it
    may also have counted or billed tokens, which is so where the outcome is unknown (a time-out, a body cut off) or
    something was generated. `ask_again`: the same deployment may answer if it is asked once more, without the
    `refused_option` if there is one. `code` is the error's code as the provider gave it, and `retry_after_s` the wait
    that it asked for.
    """

    may_be_billed = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        was_sent: bool = True,
        may_be_billed: bool | None = None,
        ask_again: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.was_sent = was_sent
        self.ask_again = ask_again
        self.refused_option: str | None = None
        if may_be_billed is not None:
            self.may_be_billed = may_be_billed


class ProviderAuthenticationError(ProviderError):
    """The provider refuses the credential: its key, its organization, its country, or its unpaid account."""


class ProviderRejectedError(ProviderError):
    """The provider refuses this one request (400, 413, 422, ...): the caller's fault, which ends the search."""


class ProviderUnsuitedError(ProviderRejectedError):
    """The provider refuses this request for this deployment; another deployment may take it as it is."""


class ProviderContextError(ProviderUnsuitedError):
    """The prompt does not fit the deployment's context window; a larger model may answer."""


class ProviderModelError(ProviderUnsuitedError):
    """The provider has no such model for this credential: another deployment may answer, this one never will."""


class ProviderRateLimitedError(ProviderError):
    """A limit of the provider is reached."""


class ProviderUnavailableError(ProviderError):
    """The provider failed in passing (5xx, an error in place of an answer), or could not be reached."""


class ProviderSpoiledError(ProviderError):
    """The model generated what its provider could not use: a tool call or JSON that is none, by its own rules.

    What was asked may provoke it, so it says nothing of how the deployment does.
    """

    may_be_billed = True


class ProviderTimeoutError(ProviderError):
    """The provider did not answer in time; whether it counted the request is unknown."""

    may_be_billed = True


class ProviderProtocolError(ProviderError):
    """The provider's answer broke off or is not what its API promises; it may have been counted."""

    may_be_billed = True
