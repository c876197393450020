"""The HTTP API's description, an OpenAPI 3.1 document: one module for the routes of each function."""
