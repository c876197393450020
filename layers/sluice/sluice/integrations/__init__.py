"""Integrations: providers, gateways and sources of data that a tenant brings, with keys of its own."""
