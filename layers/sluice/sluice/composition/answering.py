"""Answering: what questions are answered with."""

from typing import TYPE_CHECKING

from sluice.composition.insights import InsightParts
from sluice.composition.part import part

if TYPE_CHECKING:
    from sluice.answering.answerer import Answerer


class AnsweringParts(InsightParts):
    """What answers questions."""

    @part
    def answerer(self) -> "Answerer":
        """Answers questions from what was used, what holds now, and documents."""
        from sluice.answering.answerer import Answerer, Tools
        from sluice.answering.document_tool import DocumentTool, speaks_to_a_model
        from sluice.answering.writing import Writer

        tools = Tools(
            usage=self.usage_reader,
            directory=self.directory,
            task_names=self.task_library.names,
            allowances=self.allowances,
            deployments=self.overview,
            sources=self.ingest_sources,
            coverage=self.ingest_coverage,
            documents=DocumentTool(
                stores=self.stores,
                searcher=self.searcher,
                embedder=self.store_embedder,
                is_suspect=speaks_to_a_model,
            ),
        )
        return Answerer(tools, Writer(self.gateway))
