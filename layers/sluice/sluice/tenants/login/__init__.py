"""Logins: JSON Web Tokens of another's issuer, taken in place of an API key."""
