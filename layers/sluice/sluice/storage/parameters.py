"""Parameter Store of AWS Systems Manager: texts that are encrypted under AWS's own key of the account.

Standard parameters cost nothing, at rest or when they are read: a text has at most 4 KB.
Source: "AWS Systems Manager Parameter Store" in AWS's guide, and its limits.
"""

from collections.abc import Mapping, Sequence
from itertools import batched

from sluice.storage.connections import Timeouts
from sluice.storage.errors import ServiceError
from sluice.storage.json_service import JsonService, ServiceModel
from sluice.storage.service_config import ServiceConfig

MOST_TEXT_BYTES = 4_096

_MODEL = ServiceModel("Parameter Store", "ssm", "AmazonSSM", "1.1")
_TIMEOUTS = Timeouts(connect_s=1.0, silence_s=3.0, answer_s=3.0)
_MOST_NAMES = 10


class ParameterStore(JsonService):
    """A client of Parameter Store: one per process, which threads share. All methods raise StorageUnavailableError."""

    def __init__(self, config: ServiceConfig, timeouts: Timeouts = _TIMEOUTS) -> None:
        super().__init__(_MODEL, config, timeouts)

    def put(self, name: str, text: str) -> None:
        """Write an encrypted text, in place of the one there is."""
        self.call("PutParameter", {"Name": name, "Value": text, "Type": "SecureString", "Overwrite": True})

    def get(self, names: Sequence[str]) -> Mapping[str, str]:
        """The texts by name; those that are not there are left out."""
        found = {}
        for some in batched(names, _MOST_NAMES, strict=False):
            answer = self.call("GetParameters", {"Names": list(some), "WithDecryption": True})
            found.update({each["Name"]: each["Value"] for each in answer.get("Parameters", [])})
        return found

    def delete(self, name: str) -> None:
        """Delete a text; one that is not there is no error."""
        try:
            self.call("DeleteParameter", {"Name": name})
        except ServiceError as error:
            if error.aws_code != "ParameterNotFound":
                raise


def parameter_store() -> ParameterStore:
    """A client as the environment says now, with connections of its own. A process needs one: see composition.App."""
    return ParameterStore(ServiceConfig.from_environment("SSM"))
