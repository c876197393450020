"""Where an AWS service listens and who asks it, as the environment says."""

import os
from collections.abc import Mapping
from dataclasses import field
from typing import Self

from sluice.loading.dataclass import dataclass
from sluice.storage.aws_credentials import ContainerEndpoint, credentials_in
from sluice.storage.signing import Credentials

# By what a region's name begins with; all others are in the partition `aws` (botocore's partitions.json).
_DNS_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
_DNS_SUFFIX = "amazonaws.com"


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """How a service is reached. `endpoint_url` in place of AWS's own; `ca_bundle` in place of the usual authorities."""

    region: str
    credentials: Credentials | ContainerEndpoint | None = field(default=None, repr=False)
    endpoint_url: str = ""
    ca_bundle: str = ""

    @classmethod
    def from_environment(cls, service: str, environment: Mapping[str, str] = os.environ) -> Self:
        """What AWS's SDKs read as well: `service` is as in AWS_ENDPOINT_URL_<SERVICE>. Nothing is checked yet."""
        return cls(
            region=environment.get("AWS_REGION", "") or environment.get("AWS_DEFAULT_REGION", ""),
            credentials=credentials_in(environment),
            endpoint_url=environment.get(f"AWS_ENDPOINT_URL_{service}", "") or environment.get("AWS_ENDPOINT_URL", ""),
            ca_bundle=environment.get("AWS_CA_BUNDLE", "") or environment.get("SSL_CERT_FILE", ""),
        )

    def url(self, host: str) -> str:
        """The URL of the service whose name in AWS's domain is `host`. ValueError if no region is known."""
        if self.endpoint_url:
            return self.endpoint_url
        if not self.region:
            raise ValueError("AWS_REGION is not set")
        suffix = next(
            (suffix for prefix, suffix in _DNS_SUFFIXES.items() if self.region.startswith(prefix)), _DNS_SUFFIX
        )
        return f"https://{host}.{self.region}.{suffix}"
