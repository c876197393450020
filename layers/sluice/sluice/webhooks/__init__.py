"""Webhooks: events are sent to endpoints of tenants, signed as the Standard Webhooks specification says.

Read `delivery` first; `announcing` comes before it. Source: https://www.standardwebhooks.com and its specification.
"""
