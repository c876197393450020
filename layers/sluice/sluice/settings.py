"""Settings of a deployment: environment variables, typed. Names are template.yaml's."""

import os
import re
from dataclasses import dataclass

_URL = re.compile(r"https?://[A-Za-z0-9._-]+(:\d{1,5})?(/[^\s?#]*)?")


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
    default_max_tokens: int
    """What bounds an answer whose request does not; 0: nothing does."""

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
            default_max_tokens=int(number("DEFAULT_MAX_TOKENS", 0)),
        )
