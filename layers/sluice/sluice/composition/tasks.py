"""Tasks: their versions, results and questions."""

from typing import TYPE_CHECKING

from sluice.composition.gateway import GatewayParts
from sluice.composition.part import part

if TYPE_CHECKING:
    from sluice.tasks.library import Library
    from sluice.tasks.question_bank.bank import QuestionBank
    from sluice.tasks.results import Results
    from sluice.tasks.running import Runner


class TaskParts(GatewayParts):
    """What runs tasks, and keeps what came of them."""

    @part
    def task_library(self) -> "Library":
        """The tasks there are."""
        from sluice.tasks.library import Library
        from sluice.tasks.versions import Versions

        return Library(Versions(self.settings.directory_table, self.audit_log, self.dynamodb))

    @part
    def task_results(self) -> "Results":
        """What became of tasks."""
        from sluice.tasks.results import Results

        return Results(self.settings.usage_table, client=self.dynamodb)

    @part
    def task_runner(self) -> "Runner":
        """Runs tasks."""
        from sluice.tasks.running import Runner

        return Runner(self.gateway, self.task_library, self.task_results, self)

    @part
    def question_bank(self) -> "QuestionBank":
        """Interview questions that models have written."""
        from sluice.tasks.question_bank.bank import QuestionBank

        return QuestionBank(self.settings.questions_table, client=self.dynamodb)
