"""What verifies the servers that Sluice connects to, AWS's and providers' alike."""

import ssl
from functools import cache


@cache
def tls_context(ca_bundle: str) -> ssl.SSLContext:
    """What verifies a server by the authorities in the file `ca_bundle`, or by certifi's if it is empty.

    Reading the authorities takes 25 to 50 ms of CPU, so all who believe the same ones share it.
    """
    if not ca_bundle:
        import certifi

        ca_bundle = certifi.where()
    return ssl.create_default_context(cafile=ca_bundle)
