"""Ingestion: events of Jira and GitHub become documents of vector stores, and are kept so as the sources change.

Read `receiving` first, then `working`. What texts are made of is in `jira`, `github` and `markup`; how what comes in
any order ends right is in `content`.
"""
