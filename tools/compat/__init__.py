"""Outside clients and test suites, run unchanged against Sluice; what came of it is in docs/clients.md."""
