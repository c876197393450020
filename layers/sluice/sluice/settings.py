"""Settings of a deployment: environment variables, typed. Names are template.yaml's.

What a tenant says in place of one is put beside it in `sluice.gateway.tenant_settings`.
"""

import math
import os
import re
from collections.abc import Mapping

from sluice.loading.dataclass import dataclass

MOST_CACHE_S = 366 * 86_400
"""The longest that an answer is cached."""
MOST_TOKENS = 10**9
"""More tokens than any answer has."""
MOST_TEMPERATURE = 2
"""The highest temperature of OpenAI's API."""
MOST_CONVERSATION_MESSAGES = 100
"""The most messages of a conversation that a model is sent: DynamoDB writes a hundred items together, a turn is two."""
MOST_CONVERSATION_TOKENS = 1_000_000
"""More tokens of a conversation than models take."""

_MANY = 10**9
_URL = re.compile(r"https?://[A-Za-z0-9._-]+(:\d{1,5})?(/[^\s?#]*)?")
# Whoever could change what is fetched from there could make tokens: plain HTTP is for an issuer on this machine alone.
_ISSUER_URL = re.compile(r"(https://[A-Za-z0-9._-]+(:\d{1,5})?|http://(localhost|127\.0\.0\.1):\d{1,5})(/[^\s#]*)?")
ROLES = ("caller", "manager", "operator", "admin")
"""The names of roles that a claim may be mapped to."""


def is_issuer_url(url: str) -> bool:
    """Whether keys of an issuer may be fetched from there: by HTTPS, or by HTTP from this machine."""
    return _ISSUER_URL.fullmatch(url) is not None


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """Whose JSON Web Tokens are taken in place of an API key, and what their claims say. Empty: nothing of the kind."""

    issuer: str
    audiences: tuple[str, ...]
    jwks_url: str
    """Where the issuer publishes its keys; empty: where its OpenID discovery document says."""
    tenant_claim: str
    tenants: Mapping[str, str]
    """Ids of tenants by values of the claim; empty: the value is the id."""
    default_tenant: str
    """Whose a token is that lacks the claim; empty: such a token is refused."""
    user_claim: str
    """What names the user; empty: requests do, as those with an API key."""
    role_claim: str
    roles: Mapping[str, str]
    """Names of roles by values of the claim. A token with none of them is a caller's."""

    @classmethod
    def from_environment(cls, environment: "Mapping[str, str]") -> "JwtSettings | None":
        """Read the variables; None without an issuer. ValueError names a variable that can't be what it is."""

        def text(name: str, default: str = "") -> str:
            return environment.get(name, default).strip()

        def url(name: str) -> str:
            found = text(name)
            if found and not is_issuer_url(found):
                raise ValueError(f"{name} must be a URL of https, or of http with a port on localhost")
            return found

        def pairs(name: str) -> dict[str, str]:
            parts = [part.strip().partition("=") for part in text(name).split(",") if part.strip()]
            if not all(value and result for value, _, result in parts):
                raise ValueError(f"{name} must be value=result, value=result, got {text(name)!r}")
            return {value.strip(): result.strip() for value, _, result in parts}

        if not text("JWT_ISSUER"):
            return None
        found = cls(
            issuer=url("JWT_ISSUER"),
            audiences=tuple(part.strip() for part in text("JWT_AUDIENCE").split(",") if part.strip()),
            jwks_url=url("JWT_JWKS_URL"),
            tenant_claim=text("JWT_TENANT_CLAIM"),
            tenants=pairs("JWT_TENANTS"),
            default_tenant=text("JWT_DEFAULT_TENANT"),
            user_claim=text("JWT_USER_CLAIM", "sub"),
            role_claim=text("JWT_ROLE_CLAIM"),
            roles=pairs("JWT_ROLES"),
        )
        if "?" in found.issuer:
            raise ValueError("JWT_ISSUER must be an issuer as tokens name it, which has no query")
        if not found.audiences:
            raise ValueError("JWT_ISSUER takes a JWT_AUDIENCE: a token for another application must not be taken here")
        if not found.tenant_claim and not found.default_tenant:
            raise ValueError("JWT_ISSUER takes a JWT_TENANT_CLAIM or a JWT_DEFAULT_TENANT")
        if found.tenants and not found.tenant_claim:
            raise ValueError("JWT_TENANTS takes a JWT_TENANT_CLAIM")
        if found.roles and not found.role_claim:
            raise ValueError("JWT_ROLES takes a JWT_ROLE_CLAIM")
        if unknown := sorted({*found.roles.values()} - {*ROLES}):
            raise ValueError(f"JWT_ROLES must map to {', '.join(ROLES)}, got {', '.join(unknown)}")
        return found


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of a function. A table or secret that a function is not given is an empty string."""

    response_cache_table: str
    quota_table: str
    directory_table: str
    usage_table: str
    conversations_table: str
    questions_table: str
    request_log_table: str
    batches_table: str
    stores_table: str
    vectors_table: str
    ingestion_table: str
    files_bucket: str
    batch_lines_queue: str
    batch_jobs_queue: str
    webhooks_queue: str
    stores_queue: str
    ingest_queue: str
    """URLs of queues."""
    event_bus: str
    stack: str
    """What the stack is called in events."""
    admin_key_secret: str
    credentials_secret: str
    webhook_secret: str
    integration_secrets: str
    cache_ttl_s: int
    """How long an answer is served again; 0: not at all."""
    cache_policy: str
    """A CachePolicy: unsampled, all or off."""
    guard_mode: str
    """The most that a guard rule does whose mode its tenant does not set: block, flag or off."""
    has_local_embeddings: bool
    """Whether the model that makes embeddings in Sluice's own functions is there without being asked for."""
    is_routing_enabled: bool
    """False: deployments are asked by their priority, whatever is asked of them."""
    requests_per_minute: int
    requests_per_day: int
    user_requests_per_minute: int
    user_requests_per_day: int
    """Of each user that an application names; 0: no limit."""
    health_weight: float
    quota_weight: float
    speed_weight: float
    fast_models: tuple[str, ...]
    smart_models: tuple[str, ...]
    """Models that `auto` tries in this order, before the others of their tier."""
    smart_model_max_percent: float
    """Of what `auto` answers: a model of the tier smart that has more comes after its others. 100: no such bound."""
    request_timeout_s: float
    prompt_max_characters: int
    cors_origins: tuple[str, ...]
    allowed_networks: tuple[str, ...]
    """Origins whose pages may read answers; `*` is all of them."""
    embedding_model: str
    """Whose vectors a store has that names no model; empty: the first that has a credential."""
    otlp_endpoint: str
    """Where spans are sent; empty: nowhere."""
    interactive_share_percent: int
    """How much of every limit batches leave free for callers who wait."""
    file_gigabytes_per_key: int
    """How much the files of an API key may take."""
    default_max_tokens: int
    """What bounds an answer whose request does not; 0: nothing does."""
    default_temperature: float | None
    """Of requests that state none; None: the model's own."""
    max_retries: int
    """How often all deployments are tried again once all have failed."""
    max_attempts: int
    """How many calls of providers a request may take; 0: as many as there are deployments and retries."""
    circuit_failures: int
    circuit_open_s: int
    circuit_successes: int
    """How many failures in a row open a deployment's circuit, for how long, and how many successes close it."""
    conversation_messages: int
    conversation_tokens: int
    """What of a conversation is sent to a model, the new question included."""
    jwt: JwtSettings | None = None
    """None: API keys alone are taken."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the variables; a value that can't be raises ValueError naming the variable and what it may be."""

        def given(name: str) -> str:
            return environment.get(name, "").strip()

        def number(name: str, default: float, least: float = 0, most: float = 1_000) -> float:
            text = given(name)
            value = _number(text) if text else default
            # No comparison holds for what is no number.
            if not least <= value <= most:
                raise ValueError(f"{name} must be a number from {least:g} to {most:g}, got {text!r}")
            return value

        def whole(name: str, default: int, least: int = 0, most: int = _MANY) -> int:
            text = given(name)
            value = _number(text) if text else default
            if not least <= value <= most or not float(value).is_integer():
                raise ValueError(f"{name} must be a whole number from {least:,} to {most:,}, got {text!r}")
            return int(value)

        def one_of(name: str, choices: tuple[str, ...]) -> str:
            text = environment.get(name, "") or choices[0]
            if text not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {text!r}")
            return text

        def url(name: str) -> str:
            text = environment.get(name, "")
            if text and not _URL.fullmatch(text):
                # Without the value: some hold a password.
                raise ValueError(f"{name} must be a URL of http or https")
            return text

        def names(name: str) -> tuple[str, ...]:
            return tuple(part.strip() for part in environment.get(name, "").split(",") if part.strip())

        return cls(
            response_cache_table=environment.get("RESPONSE_CACHE_TABLE", ""),
            quota_table=environment.get("QUOTA_TABLE", ""),
            directory_table=environment.get("DIRECTORY_TABLE", ""),
            usage_table=environment.get("USAGE_TABLE", ""),
            conversations_table=environment.get("CONVERSATIONS_TABLE", ""),
            questions_table=environment.get("QUESTIONS_TABLE", ""),
            request_log_table=environment.get("REQUEST_LOG_TABLE", ""),
            batches_table=environment.get("BATCHES_TABLE", ""),
            stores_table=environment.get("STORES_TABLE", ""),
            vectors_table=environment.get("VECTORS_TABLE", ""),
            ingestion_table=environment.get("INGESTION_TABLE", ""),
            files_bucket=environment.get("FILES_BUCKET", ""),
            batch_lines_queue=environment.get("BATCH_LINES_QUEUE", ""),
            batch_jobs_queue=environment.get("BATCH_JOBS_QUEUE", ""),
            webhooks_queue=environment.get("WEBHOOKS_QUEUE", ""),
            stores_queue=environment.get("STORES_QUEUE", ""),
            ingest_queue=environment.get("INGEST_QUEUE", ""),
            event_bus=environment.get("EVENT_BUS", ""),
            stack=environment.get("POWERTOOLS_SERVICE_NAME", "") or "sluice",
            admin_key_secret=environment.get("ADMIN_KEY_SECRET", ""),
            credentials_secret=environment.get("CREDENTIALS_SECRET", ""),
            webhook_secret=environment.get("WEBHOOK_SECRET", ""),
            integration_secrets=f"/{environment.get('INTEGRATION_SECRETS', 'sluice')}/integrations",
            cache_ttl_s=whole("CACHE_TTL_SECONDS", 3600, most=MOST_CACHE_S),
            cache_policy=one_of("CACHE_POLICY", ("unsampled", "all", "off")),
            guard_mode=one_of("GUARD_MODE", ("block", "flag", "off")),
            # Not without a word: the model is in a layer, and the template says whether there is one.
            has_local_embeddings=one_of("LOCAL_EMBEDDINGS", ("false", "true")) == "true",
            is_routing_enabled=one_of("ROUTING_ENABLED", ("true", "false")) == "true",
            requests_per_minute=whole("CALLER_REQUESTS_PER_MINUTE", 100, least=1),
            requests_per_day=whole("CALLER_REQUESTS_PER_DAY", 14_400, least=1),
            user_requests_per_minute=whole("USER_REQUESTS_PER_MINUTE", 30),
            user_requests_per_day=whole("USER_REQUESTS_PER_DAY", 14_400),
            health_weight=number("ROUTING_HEALTH_WEIGHT", 0.4),
            quota_weight=number("ROUTING_QUOTA_WEIGHT", 0.3),
            speed_weight=number("ROUTING_SPEED_WEIGHT", 0.3),
            fast_models=names("FAST_MODELS"),
            smart_models=names("SMART_MODELS"),
            smart_model_max_percent=number("SMART_MODEL_MAX_PERCENT", 100, most=100),
            request_timeout_s=number("REQUEST_TIMEOUT_SECONDS", 120, least=0.1, most=890),
            prompt_max_characters=whole("PROMPT_MAX_CHARACTERS", 400_000, least=1),
            cors_origins=names("CORS_ORIGINS"),
            allowed_networks=names("ALLOWED_NETWORKS"),
            embedding_model=given("EMBEDDING_MODEL"),
            otlp_endpoint=url("OTEL_EXPORTER_OTLP_ENDPOINT"),
            interactive_share_percent=whole("INTERACTIVE_SHARE_PERCENT", 20, most=90),
            file_gigabytes_per_key=whole("FILE_GIGABYTES_PER_KEY", 10, least=1, most=100_000),
            default_max_tokens=whole("DEFAULT_MAX_TOKENS", 0, most=MOST_TOKENS),
            default_temperature=number("DEFAULT_TEMPERATURE", 0, most=MOST_TEMPERATURE)
            if given("DEFAULT_TEMPERATURE")
            else None,
            max_retries=whole("MAX_RETRIES", 3, most=10),
            max_attempts=whole("MAX_ATTEMPTS", 0, most=100),
            circuit_failures=whole("CIRCUIT_FAILURES", 5, least=1, most=100),
            circuit_open_s=whole("CIRCUIT_OPEN_SECONDS", 60, least=1, most=3_600),
            circuit_successes=whole("CIRCUIT_SUCCESSES", 1, least=1, most=10),
            conversation_messages=whole("CONVERSATION_MESSAGES", 10, least=1, most=MOST_CONVERSATION_MESSAGES),
            conversation_tokens=whole("CONVERSATION_TOKENS", 4_000, least=1, most=MOST_CONVERSATION_TOKENS),
            jwt=JwtSettings.from_environment(environment),
        )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
