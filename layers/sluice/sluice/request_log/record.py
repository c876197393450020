"""Records of requests: how each answer came about, or why there was none. Never what was asked or answered. Pure."""

from enum import StrEnum

from sluice.loading.dataclass import dataclass


class RequestOutcome(StrEnum):
    """What became of a request."""

    ANSWERED = "answered"
    WITHHELD = "withheld"
    """The answer broke a rule."""
    INTERRUPTED = "interrupted"
    """The provider failed in the middle of a stream."""
    ABANDONED = "abandoned"
    """The caller hung up in the middle of a stream."""
    REFUSED = "refused"
    """The request could not be answered as it was, or not yet: 4xx."""
    FAILED = "failed"
    """Sluice or its providers could not answer: 5xx."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """A deployment that was considered: what came of it, and if its provider was called, for how long.

    `status` is the provider's HTTP status, 0 if there was none. `began_ms` is how long after the request the call
    began, which is for spans and is not stored.
    """

    deployment: str
    result: str
    time_ms: int = 0
    status: int = 0
    began_ms: int = 0


class Judgement(StrEnum):
    """What a guard model came to."""

    PASSED = "passed"
    CAUGHT = "caught"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardModelUse:
    """A guard model that was asked about a prompt or an answer, which `judged` says, and what that took.

    `verdict` is its number or categories, or why there is none. `calls` of providers have answered, also with nothing
    that could be used.
    """

    judged: str
    model: str
    judgement: Judgement
    verdict: str
    deployment: str = ""
    calls: int = 0
    tokens: int = 0
    cost_nanousd: int = 0
    time_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """How one request was answered. A text is empty and a number 0 where there is none.

    `caller` is the id of the API key. `asked_model` is what was asked for, as the catalogue names it. `asks` is how
    often models were asked or the cache was, `tier` that of the model that answered. `guard_models` are those that
    judged, whose cost is not in `cost_nanousd`. `repeats` is how many refusals like this one have none of their own,
    `infra_nanousd` an estimate of what AWS bills for it. Under `idempotency_key` its answer is kept, if it had one.
    """

    request_id: str
    tenant: str
    caller: str
    route: str
    outcome: RequestOutcome
    status: int
    api_request_id: str = ""
    user: str = ""
    task: str = ""
    error_code: str = ""
    reason: str = ""
    asked_model: str = ""
    model: str = ""
    deployment: str = ""
    provider: str = ""
    tier: str = ""
    complexity: str = ""
    cache: str = ""
    is_streamed: bool = False
    attempts: tuple[Attempted, ...] = ()
    guard_rules: tuple[str, ...] = ()
    guard_models: tuple[GuardModelUse, ...] = ()
    asks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nanousd: int = 0
    total_ms: int = 0
    first_token_ms: int = 0
    provider_ms: int = 0
    own_ms: int = 0
    infra_nanousd: int = 0
    repeats: int = 0
    idempotency_key: str = ""

    @property
    def guard_nanousd(self) -> int:
        """What its guard models cost."""
        return sum(each.cost_nanousd for each in self.guard_models)

    @property
    def guard_ms(self) -> int:
        """How long its guard models took."""
        return sum(each.time_ms for each in self.guard_models)
