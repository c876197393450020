"""Azure OpenAI: OpenAI's protocol, where a model goes by its deployment's name and the key has a header of its own.

https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle
"""

from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

from sluice.providers.base import ProviderConfig
from sluice.providers.exchange import PATHS, Call
from sluice.providers.openai_compatible import OpenAICompatibleProvider

_V1_PATH = "/openai/v1"
_DEPLOYMENTS = "/openai/deployments"


class AzureOpenAIProvider(OpenAICompatibleProvider):
    """One API key of a resource.

    Its v1 API is asked below `/openai/v1`; where `config.api_version` names a dated version, the classic one, whose
    paths name the deployment. A base URL that ends in a path of either API is taken as it is.
    Raises ValueError if it is missing or no http(s) URL.
    """

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        parts = urlsplit(self._urls[PATHS[0]])
        path = parts.path.removesuffix(PATHS[0])
        query = parts.query
        if config.api_version is not None and "api-version=" not in query:
            query = "&".join(filter(None, (query, f"api-version={quote(config.api_version)}")))
        is_dated = config.api_version is not None and config.api_version[:1].isdigit()
        self._names_deployment = is_dated and _DEPLOYMENTS not in path
        if self._names_deployment:
            path = path.removesuffix(_V1_PATH).removesuffix("/openai") + _DEPLOYMENTS
        elif "/openai" not in path:
            path += _V1_PATH
        self._root = parts._replace(path=path, query=query)

    def _url(self, call: Call) -> str:
        deployment = f"/{quote(str(call.body['model']), safe='')}" if self._names_deployment else ""
        return urlunsplit(self._root._replace(path=self._root.path + deployment + call.path))

    def _key_headers(self, call: Call) -> Mapping[str, str] | None:
        return {"api-key": call.api_key}
