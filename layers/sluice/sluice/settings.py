"""Settings of a deployment: environment variables, typed. Names are template.yaml's."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

_URL = re.compile(r"https?://[A-Za-z0-9._-]+(:\d{1,5})?(/[^\s?#]*)?")
# Whoever could change what is fetched from there could make tokens: plain HTTP is for an issuer on this machine alone.
_ISSUER_URL = re.compile(r"(https://[A-Za-z0-9._-]+(:\d{1,5})?|http://(localhost|127\.0\.0\.1):\d{1,5})(/[^\s#]*)?")
ROLES = ("caller", "operator", "admin")
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
    files_bucket: str
    batch_lines_queue: str
    batch_jobs_queue: str
    """URLs of queues."""
    admin_key_secret: str
    credentials_secret: str
    cache_ttl_s: int
    cache_policy: str
    """A CachePolicy: unsampled, all or off."""
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
    """Origins whose pages may read answers; `*` is all of them."""
    otlp_endpoint: str
    """Where spans are sent; empty: nowhere."""
    interactive_share_percent: int
    """How much of every limit batches leave free for callers who wait."""
    default_max_tokens: int
    """What bounds an answer whose request does not; 0: nothing does."""
    jwt: JwtSettings | None = None
    """None: API keys alone are taken."""

    @classmethod
    def from_environment(cls, environment: "os._Environ[str] | dict[str, str]" = os.environ) -> "Settings":
        """Read the variables; a value that can't be raises ValueError naming the variable."""

        def number(name: str, default: float) -> float:
            text = environment.get(name, "")
            try:
                return float(text) if text else default
            except ValueError:
                raise ValueError(f"{name} must be a number, got {text!r}") from None

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
            files_bucket=environment.get("FILES_BUCKET", ""),
            batch_lines_queue=environment.get("BATCH_LINES_QUEUE", ""),
            batch_jobs_queue=environment.get("BATCH_JOBS_QUEUE", ""),
            admin_key_secret=environment.get("ADMIN_KEY_SECRET", ""),
            credentials_secret=environment.get("CREDENTIALS_SECRET", ""),
            cache_ttl_s=int(number("CACHE_TTL_SECONDS", 3600)),
            cache_policy=one_of("CACHE_POLICY", ("unsampled", "all", "off")),
            requests_per_minute=int(number("CALLER_REQUESTS_PER_MINUTE", 100)),
            requests_per_day=int(number("CALLER_REQUESTS_PER_DAY", 14_400)),
            user_requests_per_minute=int(number("USER_REQUESTS_PER_MINUTE", 30)),
            user_requests_per_day=int(number("USER_REQUESTS_PER_DAY", 14_400)),
            health_weight=number("ROUTING_HEALTH_WEIGHT", 0.4),
            quota_weight=number("ROUTING_QUOTA_WEIGHT", 0.3),
            speed_weight=number("ROUTING_SPEED_WEIGHT", 0.3),
            fast_models=names("FAST_MODELS"),
            smart_models=names("SMART_MODELS"),
            smart_model_max_percent=number("SMART_MODEL_MAX_PERCENT", 100),
            request_timeout_s=number("REQUEST_TIMEOUT_SECONDS", 120),
            prompt_max_characters=int(number("PROMPT_MAX_CHARACTERS", 400_000)),
            cors_origins=names("CORS_ORIGINS"),
            otlp_endpoint=url("OTEL_EXPORTER_OTLP_ENDPOINT"),
            interactive_share_percent=int(number("INTERACTIVE_SHARE_PERCENT", 20)),
            default_max_tokens=int(number("DEFAULT_MAX_TOKENS", 0)),
            jwt=JwtSettings.from_environment(environment),
        )
