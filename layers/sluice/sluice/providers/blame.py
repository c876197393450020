"""Whose fault a provider's refusal is: a table by status, code and words. Pure.

The first row that matches decides. Rows on codes and words come before those on the status alone, because providers
disagree on statuses: a bad API key is a 400 at Gemini, a model that is gone a 400 at Groq, a prompt that is too long
anything from 400 to 500. Words are matched in what is left of a message once all that the request said has been taken
out of it: no caller can put them there.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

from sluice.loading.dataclass import dataclass


class Blame(StrEnum):
    """Whose fault it is that a provider did not answer."""

    CREDENTIAL = "credential"
    """The key, or the account behind it: nothing can be asked with it until an operator has mended it."""
    MODEL = "model"
    """The model is gone, or not for this credential."""
    LIMIT = "limit"
    """A limit is reached: the same request will be answered later."""
    UNSUITED = "unsuited"
    """This request cannot be answered by this deployment; others may take it as it is."""
    CONTEXT = "context"
    """The prompt is longer than the model's context window."""
    REQUEST = "request"
    """The request is wrong, whoever is asked."""
    SPOILED = "spoiled"
    """The model generated something that the provider could not use; asked once more, it may do better."""
    PROVIDER = "provider"
    """The provider fails in passing."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A provider's refusal, as far as blame goes: `codes` as written, `text` without anything that the request said."""

    status: int
    codes: tuple[str, ...] = ()
    text: str = ""
    is_page: bool = False


@dataclass(frozen=True, slots=True)
class _Row:
    blame: Blame
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    statuses: frozenset[int] = frozenset()

    def matches(self, refusal: Refusal, codes: Iterable[str]) -> bool:
        if self.statuses and refusal.status not in self.statuses:
            return False
        if not self.codes and self.words is None:
            return True
        if any(code in self.codes for code in codes):
            return True
        return self.words is not None and self.words.search(refusal.text) is not None


def blame(refusal: Refusal) -> Blame:
    """Whose fault `refusal` is."""
    codes = [_plain(code) for code in refusal.codes]
    for row in _TABLE:
        if row.matches(refusal, codes):
            return row.blame
    if refusal.status >= _SERVER_ERRORS:
        return Blame.PROVIDER
    # A web page is no word of the API: something in front of it refuses, and not because of what was asked.
    return Blame.UNSUITED if refusal.is_page else Blame.REQUEST


def may_be_billed(status: int) -> bool:
    """Whether tokens may have been generated, and billed, before an answer of this status.

    So it is where somebody gave up waiting for the model: the answers of a gateway say nothing of what is behind it.
    """
    return status in _GIVEN_UP


def _plain(code: str) -> str:
    """A code in lower case without separators and without the namespace in front of it."""
    name = re.split(r"[#/:]|\.(?=[A-Z])", code.strip())[-1]
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _codes(text: str) -> frozenset[str]:
    return frozenset(_plain(code) for code in text.split())


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


_SERVER_ERRORS = 500
_OK = 200
_REJECTIONS = frozenset({_OK, *range(400, 429), *range(430, 500)})
# A time-out, conflict or overload on the provider's side (498 is Groq's own, 499 nginx's).
_BUSY = frozenset({408, 409, 423, 424, 425, 498, 499})
# 520 and 524 are Cloudflare's: a garbled and a late answer of what is behind it. 598 and 599 are proxies' time-outs.
_GIVEN_UP = frozenset({408, 499, 502, 504, 520, 524, 598, 599})

_NOUN = r"(?:organi[sz]ation|account|project|user|subscription|workspace|team|billing)"

_TABLE: tuple[_Row, ...] = (
    # Groq holds tool calls and JSON against their schema, and refuses its own model's answer.
    _Row(
        Blame.SPOILED,
        _codes("tool_use_failed json_validate_failed output_parse_failed MALFORMED_FUNCTION_CALL MALFORMED_RESPONSE"),
        _words(
            r"failed to generate json",
            r"failed to call a function",
            r"tool call validation failed",
            r"failed to parse tool calls?",
            r"model (?:produced|generated|returned) (?:an )?(?:invalid|malformed)",
        ),
    ),
    # Filters judge the prompt, and no two alike; the next provider is not asked to look away.
    _Row(Blame.REQUEST, _codes("content_filter content_policy_violation ResponsibleAIPolicyViolation")),
    # A request over what the plan allows in a minute will be so in an hour too: that is no reason to block others.
    _Row(
        Blame.UNSUITED,
        words=_words(
            r"request too large.{0,200}\btokens per (?:min|day)",
            r"can only afford",
            r"fewer max_tokens",
            r"prompt tokens limit exceeded",
            r"no (?:allowed )?(?:endpoints?|providers?) (?:were |was )?(?:found )?(?:that|which|matching|available)",
        ),
    ),
    _Row(
        Blame.CONTEXT,
        _codes(
            "context_length_exceeded context_window_exceeded exceed_context_size_error tokens_limit_reached "
            "model_context_window_exceeded ContextWindowExceededError max_context_length_exceeded "
            "model_max_prompt_tokens_exceeded"
        ),
        _words(
            r"(?:maximum|max|available|model'?s?|the) context (?:length|size|window)",
            r"context (?:length|window|size)(?: limit)? (?:is )?exceed(?:ed|s)",
            r"exceeds? (?:the )?(?:model'?s? )?(?:maximum |max(?:imum)? )?(?:context|token limit|prompt length)",
            r"(?:prompt|input|message|conversation|request)s? (?:is|are) too long",
            r"maximum prompt length",
            r"prompt exceeds (?:the )?max(?:imum)? length",
            r"(?:input|prompt) (?:token count|tokens?|length).{0,40}exceeds?",
            r"tokens in the prompt.{0,40}exceeds?",
            r"(?:input|prompt) tokens (?:is |are )?too long",
            r"exceeded max_input_tokens",
            # Alibaba, LM Studio, llama.cpp.
            r"range of input length should be",
            r"provide a shorter input",
            r"context shift is disabled",
            r"inputs`? tokens? \+",
            r"inputs`? must have less than",
            r"reduce the length of (?:the|your) (?:messages|prompt|input)",
            r"exceeds the maximum number of (?:input )?tokens",
            r"exceed(?:s|ed) (?:the )?model token limit",
            r"greater than the context length",
            r"longer than the (?:maximum )?model",
            r"too many (?:input )?tokens(?! per)",
        ),
        frozenset({_OK, 400, 413, 414, 422, 500}),
    ),
    _Row(
        Blame.MODEL,
        _codes(
            "model_not_found model_decommissioned model_not_supported model_not_active model_not_available "
            "model_terms_required model_permission_blocked_org model_permission_blocked_project DeploymentNotFound "
            "unknown_model invalid_model ModelNotFound key_model_access_denied team_model_access_denied "
            "user_model_access_denied org_model_access_denied model_access_denied model_deprecated model_retired"
        ),
        _words(
            r"models?\b.{0,160}?\b(?:does not|doesn't) exist",
            r"models?\b.{0,160}?\b(?:was |is |could )?not (?:be )?found\b",
            r"models?\b.{0,160}?\b(?:has been|is|was) (?:decommissioned|deprecated|retired|removed|shut ?down)",
            r"models?\b.{0,160}?\b(?:is |are )?no longer (?:supported|available|offered)",
            r"models?\b.{0,160}?\bnot supported by (?:any |the )?provider",
            r"not a (?:valid|chat) model",
            r"(?:unknown|invalid|no such) model\b",
            r"(?:no|not have|n't have|without) access to (?:the |this )?model",
            r"not allowed to access model",
            r"no endpoints found for",
            # Amazon Bedrock; a role may invoke the models that its policy names.
            r"model identifier is invalid",
            r"not authorized to perform",
        ),
        _REJECTIONS,
    ),
    _Row(
        Blame.CREDENTIAL,
        _codes(
            "invalid_api_key API_KEY_INVALID API_KEY_EXPIRED API_KEY_SERVICE_BLOCKED API_KEY_HTTP_REFERRER_BLOCKED "
            "API_KEY_IP_ADDRESS_BLOCKED SERVICE_DISABLED CONSUMER_SUSPENDED CONSUMER_INVALID BILLING_DISABLED "
            "account_deactivated account_disabled account_suspended organization_restricted organization_deactivated "
            "organization_disabled access_terminated unsupported_country_region_territory authentication_error "
            "AuthenticationError authentication_failed invalid_authentication NotAuthenticated UNAUTHENTICATED "
            "unauthorized invalid_token expired_token ExpiredTokenException UnrecognizedClientException "
            "InvalidSignatureException MissingAuthenticationTokenException insufficient_quota insufficient_balance "
            "insufficient_credits insufficient_funds billing_hard_limit_reached billing_not_active billing_error "
            "payment_required Arrearage AccountOverdueError budget_exceeded exceeded_budget"
        ),
        _words(
            r"api[-_ ]?key (?:is )?(?:not valid|invalid|expired|not found|disabled|revoked|missing|required)",
            r"(?:invalid|incorrect|wrong|expired|missing) (?:api|access|auth\w*|bearer)[-_ ]?(?:key|token|credential)",
            r"user location is not supported",
            r"country,? region,? or territory (?:is )?not supported",
            rf"{_NOUN} (?:has been |have been |is |was )(?:restricted|deactivated|disabled|suspended|terminated)",
            rf"{_NOUN} (?:is not active|has been denied|is past due|has insufficient)",
            r"credit balance is too low",
            r"(?:insufficient|not enough) (?:account )?(?:balance|credits?|funds)",
            r"exceeded your monthly included credits",
        ),
        frozenset({_OK, *range(400, 500)}),
    ),
    _Row(
        Blame.LIMIT,
        _codes(
            "rate_limit_exceeded rate_limit_error rate_limited RateLimitError too_many_requests "
            "TooManyRequestsException RESOURCE_EXHAUSTED Throttling ThrottlingException throttling_error "
            "Throttling.RateQuota Throttling.AllocationQuota RateQuota AllocationQuota request_limit_exceeded "
            "quota_exceeded ServiceQuotaExceededException SlowDown"
        ),
        _words(
            r"rate[- ]?limit(?:s|ed)? (?:was |is |has been )?(?:reached|exceeded|hit)",
            r"too many requests",
            r"(?:tokens|requests) per (?:second|minute|hour|day)",
        ),
        frozenset({_OK, 400, 403, 413, 500, 503}),
    ),
    _Row(Blame.LIMIT, statuses=frozenset({429})),
    _Row(
        Blame.PROVIDER,
        _codes(
            "overloaded_error overloaded engine_overloaded service_unavailable server_error internal_server_error "
            "InternalServerError UNAVAILABLE INTERNAL DEADLINE_EXCEEDED ServiceUnavailableException "
            "InternalServerException ModelNotReadyException ModelTimeoutException ModelErrorException"
        ),
        _words(r"\boverloaded\b", r"currently loading"),
        frozenset({_OK, 400, 403}),
    ),
    _Row(
        Blame.UNSUITED,
        _codes("unsupported_parameter unsupported_value unsupported_feature unsupported_content_type"),
        _words(
            r"(?:does not|doesn't|do not|cannot|can't) (?:currently )?support",
            r"(?:is|are) (?:currently )?not (?:yet )?(?:currently )?supported",
            r"not supported (?:with|by|for|in|when|on) ",
            r"is unsupported",
            r"unsupported (?:parameter|value|field|option|feature|content|response|tool|image|media)",
            r"extra (?:inputs|fields) (?:are )?not permitted",
            r"(?:unknown|unrecognized|unexpected) (?:request )?(?:parameter|argument|field|keyword|key)",
            r"additional properties are not allowed",
            r"unknown name \"",
            r"extraneous key",
            r"at most \d+ completion tokens",
            r"max_(?:completion_)?tokens\b.{0,80}(?:too large|too high|exceeds?|less than|at most|<=)",
            r"requires? .{0,80}to be set",
            # Anthropic: what models since 4.7 no longer take, and thoughts that another account or model has signed.
            r"is deprecated for this model",
            r"may not be enabled when",
            r"invalid `?signature`? in `?thinking`?",
        ),
        frozenset({_OK, *range(400, 424)}),
    ),
    _Row(Blame.CREDENTIAL, statuses=frozenset({401, 402})),
    # 403 is not among them: it is also what a prompt gets that a provider will not have.
    _Row(Blame.UNSUITED, statuses=frozenset({403, 405, 406, 411, 413, 414, 415, 451, 501})),
    _Row(Blame.MODEL, statuses=frozenset({404, 410})),
    _Row(Blame.PROVIDER, statuses=_BUSY),
    _Row(
        Blame.REQUEST,
        _codes(
            "invalid_request_error BadRequestError INVALID_ARGUMENT bad_request validation_error ValidationException"
        ),
        statuses=frozenset({_OK}),
    ),
    # 200 with an error that says nothing of itself.
    _Row(Blame.PROVIDER, statuses=frozenset({_OK})),
)
