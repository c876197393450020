"""Which fields of a request a deployment may be sent. Pure.

A provider is sent what OpenAI documents for a chat, and what its row of the catalogue or its credential names beside
that. Anything else could spend what is not counted or reach what is not allowed: OpenRouter's `models` and `route` ask
other models, its `plugins` search for a price of their own. So it is with tools that a provider runs itself
(`tools.browser_search` allows one), with formats of answers (`response_format.regex`) and with some parts of messages
(`messages.document`). What is left out for those that do not take it, and refused by none, is in `message_fields`.
"""

from collections.abc import Collection, Iterable, Iterator

from sluice.catalog.model import Price
from sluice.chat import DOCUMENTED_FIELDS, ChatRequest
from sluice.loading.dataclass import dataclass
from sluice.providers.base import ProviderConfig
from sluice.providers.message_fields import is_left_out, refused_parts

_TOOL_TYPES = frozenset({"function", "custom"})
_FORMATS = frozenset({"text", "json_object", "json_schema"})
# Tiers at the price that a model has if none is asked for.
_STANDARD_TIERS = frozenset({"auto", "default", "standard"})


@dataclass(frozen=True, slots=True)
class RefusedField:
    """A field that may not be sent: where it is, and what is wrong with it."""

    param: str
    reason: str


def refused_field(request: ChatRequest, config: ProviderConfig, price: Price | None = None) -> RefusedField | None:
    """The first field of `request` that may not be sent with `config`; None if there is none.

    `price` is the model's: a service tier is refused that it has no price of. None leaves tiers alone.
    """
    found = _refused(request, config)
    if price is not None and (price.prompt_usd or price.completion_usd):
        tier = (request.model_extra or {}).get("service_tier")
        is_priced = isinstance(tier, str) and (
            tier in _STANDARD_TIERS or tier in config.standard_service_tiers or tier in price.service_tiers
        )
        if tier is not None and not is_priced:
            setting = "an operator can name one in `price.service_tiers` of the credential's model"
            return RefusedField("service_tier", f"the model has no price for the tier {str(tier)[:32]!r}; {setting}")
    return next(found, None)


def refused_beside(fields: Collection[str], config: ProviderConfig) -> RefusedField | None:
    """The first of an embedding request's fields beside those that OpenAI documents that may not be sent."""
    for name in fields:
        if name not in config.allowed_fields or name in config.unsupported_fields:
            return RefusedField(name, _not_allowed(config, name))
    return None


def _refused(request: ChatRequest, config: ProviderConfig) -> Iterator[RefusedField]:
    for name, value in (request.model_extra or {}).items():
        # A field that is null says nothing.
        if name in config.unsupported_fields and value is not None:
            yield RefusedField(name, f"{config.provider} does not support the field {name!r}")
        elif value is None or name in DOCUMENTED_FIELDS or name in config.allowed_fields:
            continue
        elif not is_left_out(name, value):
            yield RefusedField(name, _not_allowed(config, name))
    tools = (request.model_extra or {}).get("tools")
    for position, tool in enumerate(tools if isinstance(tools, list) else []):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind is not None and kind not in _TOOL_TYPES and f"tools.{kind}" not in config.allowed_fields:
            yield RefusedField(f"tools[{position}].type", _not_allowed(config, f"tools.{str(kind)[:64]}"))
    for param, name in refused_parts(request, config.allowed_fields):
        yield RefusedField(param, _not_allowed(config, name))
    kind = None if request.response_format is None else request.response_format.type
    if kind is not None and kind not in _FORMATS and f"response_format.{kind}" not in config.allowed_fields:
        known = ", ".join(sorted(_FORMATS))
        reason = f"must be one of {known}, or what {_not_allowed(config, f'response_format.{kind}')}"
        yield RefusedField("response_format.type", reason)
    # Imported late: few requests go there.
    found: Iterable[tuple[str, str]] = ()
    if config.adapter == "anthropic":
        from sluice.providers.messages_uncarried import uncarried

        found = uncarried(request)
    elif config.adapter == "bedrock":
        from sluice.providers.converse_request import converse_uncarried

        found = converse_uncarried(request)
    for param, why in found:
        yield RefusedField(param, f"{why} ({config.provider})")


def _not_allowed(config: ProviderConfig, name: str) -> str:
    return (
        f"{config.provider} is not sent {name[:96]!r} unless an operator names it in `allowed_fields` of its credential"
    )
