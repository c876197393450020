"""Stream of an answer on its way to the caller: guarded, collected, and settled when it ends, however it ends."""

from collections.abc import Generator, Iterator
from typing import cast

from aws_lambda_powertools import Logger

from sluice.chat import ChatChunk, JsonObject
from sluice.chat_stream import assemble
from sluice.errors import InterruptedAnswerError, InvalidAnswerError, ProviderError, SluiceError
from sluice.gateway.budget import BudgetReservation
from sluice.gateway.request import AdmittedRequest
from sluice.gateway.settlement import Outcome, Result, Settlement
from sluice.guards.chunks import ChunkGuard
from sluice.guards.structured_output import InvalidJsonAnswerError, asks_for_json
from sluice.providers.base import ProviderStream
from sluice.routing.deployment_quota import Answered

logger = Logger(child=True)


class GuardedStream(Iterator[ChatChunk]):
    """The chunks that the caller is to see of an answer. Close it, read to its end or not, or never begun.

    Raises GuardBlockedError, InvalidAnswerError for JSON that is none, InterruptedAnswerError when it breaks off.
    """

    def __init__(
        self,
        admitted: AdmittedRequest,
        answered: Answered[ProviderStream],
        budget: BudgetReservation,
        settlement: Settlement,
    ) -> None:
        self._admitted = admitted
        self._answered = answered
        self._budget = budget
        self._settlement = settlement
        self._guard = ChunkGuard(admitted.guard_modes)
        self._received: list[ChatChunk] = []
        self._released = self._release()
        self._is_settled = False

    def __next__(self) -> ChatChunk:
        """The next chunk; at the end, and before an error is raised, the request is settled."""
        try:
            return next(self._released)
        except StopIteration:
            self._settle(Result.ANSWERED)
            raise
        except InterruptedAnswerError as error:
            self._settle(Result.BROKE_OFF, cast("ProviderError", error.__cause__))
            raise
        except SluiceError:
            self._settle(Result.WITHHELD)
            raise
        except BaseException:
            self._settle(Result.BROKE_OFF)
            raise

    def close(self) -> None:
        """Let go of the provider and settle, if the answer has not come to its end."""
        self._released.close()
        self._settle(Result.ABANDONED)

    def _release(self) -> Generator[ChatChunk]:
        admitted = self._admitted
        try:
            for chunk in self._answered.answer:
                self._received.append(chunk)
                yield from _shown(self._guard.release(chunk), admitted.wants_usage)
        except ProviderError as error:
            raise InterruptedAnswerError(f"{self._answered.deployment.id} broke off: {error.message}") from error
        yield from self._guard.rest()
        for choice in assemble(self._received)["choices"]:
            content = choice["message"].get("content")
            is_json = asks_for_json(admitted.answer_format) and not choice["message"].get("tool_calls")
            if is_json and isinstance(content, str):
                from sluice.guards.json_reader import enforce_json  # for those few requests alone

                try:
                    enforce_json(content, admitted.answer_format)
                except InvalidJsonAnswerError as error:
                    raise InvalidAnswerError(f"The answer is not the JSON that was asked for: {error}") from error

    def _assembled(self) -> JsonObject:
        try:
            return assemble(self._received)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # Whatever a provider has sent, the request must be settled.
            logger.warning("a stream could not be put together", extra={"reason": type(error).__name__})
            return {"choices": []}

    def _settle(self, result: Result, error: ProviderError | None = None) -> None:
        if self._is_settled:
            return
        self._is_settled = True
        stream = self._answered.answer
        stream.close()
        body = self._assembled()
        # Some providers count along in every chunk: only what stands at the end is the answer's usage.
        choices = body["choices"]
        has_ended = bool(choices) and all(choice.get("finish_reason") for choice in choices)
        is_whole = result is Result.ANSWERED or (error is None and has_ended)
        usages = (chunk.usage for chunk in reversed(self._received)) if is_whole else ()
        self._settlement.settle(
            self._admitted,
            Outcome(
                result=result,
                answered=self._answered,
                budget=self._budget,
                body=body,
                usage=next(filter(None, usages), None),
                rate_limits=stream.rate_limits,
                findings=self._guard.findings,
                error=error,
                cost_usd=stream.cost_usd(body) if is_whole else None,
            ),
        )


def _shown(chunk: ChatChunk, wants_usage: bool) -> Iterator[ChatChunk]:
    """The chunk as the caller asked for it: usage is always asked of the provider, for the settlement."""
    if wants_usage or "usage" not in chunk.body:
        yield chunk
    elif chunk.body.get("choices"):
        yield ChatChunk({name: value for name, value in chunk.body.items() if name != "usage"})
