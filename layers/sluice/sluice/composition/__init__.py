"""Composition root: one App puts the parts together that answer requests, each when it is first needed.

What is imported within a part is what not every function needs: none pays for what it does not use. Each module has the
parts of one subject, and may use those of the modules before it: storage, tenants, gateway, tasks, batches, knowledge,
operations, insights, answering.
"""

from sluice.composition.answering import AnsweringParts
from sluice.composition.part import part

__all__ = ["App", "part"]


class App(AnsweringParts):
    """Everything that a process answers requests with: settings, clients, stores and caches. Threads may share it."""
