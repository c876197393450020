"""Runs a task: from a request's inputs through the gateway to a result with its quality."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field, replace
from decimal import Decimal
from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sluice.chat import AUTO, ChatRequest, Count, JsonObject, Labels, Message, Usage
from sluice.chat_stream import chunks_from_body
from sluice.conversations.conversation import TaskCall
from sluice.conversations.turns import OpenTurn, abandoned_on_failure
from sluice.errors import GuardBlockedError, InvalidAnswerError, SluiceError
from sluice.gateway.background import RequestThreads
from sluice.gateway.pipeline import Gateway
from sluice.gateway.provenance import Provenance
from sluice.gateway.request import RequestContext
from sluice.guards.prompt import check_prompt
from sluice.guards.rules import Mode
from sluice.loading.dataclass import dataclass
from sluice.routing.intent import Complexity
from sluice.tasks.answer import TaskResult as ResultBody
from sluice.tasks.code import TaskCode, TaskStores, code_of, output_schema
from sluice.tasks.fields import Inputs, canonical
from sluice.tasks.library import Library
from sluice.tasks.quality import assess
from sluice.tasks.results import Results, TaskRecord, TaskRun
from sluice.tasks.spotlighting import without_tags
from sluice.tasks.task import Rendered, Task
from sluice.telemetry.best_effort import best_effort
from sluice.tenants.principal import Principal

_THREADS = 8
_NO_USAGE = Usage(0, 0)
# What the gateway finds wrong in a chat request, by the name of what the caller of a task sent.
_PARAMS = {"messages": "inputs", "metadata.sluice_conversation_id": "conversation_id", "response_format": "model"}
_ANY_NUMBER = sys.maxsize


class TaskRequest(BaseModel):
    """The body of POST /v1/tasks/{name}."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    conversation_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    user: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    model: Annotated[str, Field(min_length=1, max_length=256)] = AUTO
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    stream: bool = False

    def labelled(self, labels: Labels) -> "TaskRequest":
        """The request for the user and in the conversation of `labels`, as far as they say something."""
        said = {
            name: getattr(labels, name) for name in ("user", "conversation_id") if getattr(labels, name) is not None
        }
        return self.model_copy(update=said) if said else self


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a run came to. `body` is what the caller sees, `provenance` how it came about."""

    body: ResultBody
    provenance: Provenance

    def events(self) -> list[JsonObject | ResultBody]:
        """The result as the chunks of a stream, and itself as the last one."""
        message = {"role": "assistant", "content": as_text(self.body["output"])}
        completion = {
            "id": self.body["request_id"],
            "created": int(time.time()),
            "model": self.body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": self.body["finish_reason"] or "stop"}],
        }
        return [*(chunk.body for chunk in chunks_from_body(completion, include_usage=False)), self.body]


class Runner:
    """Runs tasks of authenticated callers. Threads may share it."""

    def __init__(self, gateway: Gateway, library: Library, results: Results, stores: TaskStores) -> None:
        self._gateway = gateway
        self._library = library
        self._results = results
        self._stores = stores
        self._pool = RequestThreads(_THREADS, thread_name_prefix="results")

    def run(self, name: str, request: TaskRequest, principal: Principal, context: RequestContext) -> TaskResult:
        """Run one task. Raises SluiceError: NotFoundError for the task, InvalidRequestError naming the input."""
        request = request.model_copy(update={"user": principal.user_of(request.user)})
        # The same request goes to the same version, which the cache needs; so does one conversation, or one user.
        subject = request.conversation_id or request.user
        subject = f"{principal.caller_id}#{subject or canonical(request.inputs).decode()}"
        task = self._library.choose(principal.tenant.id, name, subject)
        inputs = task.check_inputs(request.inputs)
        code = code_of(name)
        started_s = time.monotonic()
        run = _Run(self._gateway, self._stores, task, code, request, principal, context)
        try:
            output = run.answer(inputs)
        except (InvalidAnswerError, GuardBlockedError) as error:
            if _is_of_version(error, request):
                self._count(run, time.monotonic() - started_s, quality=None)
            raise
        response_time_s = time.monotonic() - started_s
        result = _result(run, output, inputs, response_time_s)
        remembering = self._pool.submit(self._remember, run)
        self._count(run, response_time_s, quality=result.body["quality"]["score"])
        remembering.result()
        return result

    def check(self, name: str, request: TaskRequest, principal: Principal, context: RequestContext) -> int:
        """Refuse what `run` would refuse whatever is left of quotas. Raises as `run`.

        Returns what one question to a model is estimated to cost, in billionths of a dollar; some tasks ask several.
        """
        task = self._library.choose(principal.tenant.id, name, principal.caller_id)
        inputs = task.check_inputs(request.inputs)
        return _Run(self._gateway, self._stores, task, code_of(name), request, principal, context).check(inputs)

    def _count(self, run: "_Run", response_time_s: float, *, quality: float | None) -> None:
        counted = TaskRecord(
            run=run.identity,
            usage=run.spent,
            response_time_ms=int(response_time_s * 1000),
            quality=quality,
            is_cache_hit=run.is_cached and quality is not None,
        )
        with best_effort("counting a task"):
            self._results.record(counted)

    def _remember(self, run: "_Run") -> None:
        with best_effort("remembering a task's request"):
            self._results.remember(run.identity)


@dataclass(slots=True)
class _Run:
    """One run: it asks the gateway, and adds up what that took."""

    gateway: Gateway
    stores: TaskStores
    task: Task
    code: TaskCode | None
    request: TaskRequest
    principal: Principal
    context: RequestContext
    asked: int = 0
    hits: int = 0
    used: Usage = _NO_USAGE
    spent: Usage = _NO_USAGE
    cost_usd: Decimal = Decimal(0)
    model: str | None = None
    complexity: Complexity | None = None
    finish_reason: str | None = None
    last: Provenance | None = None
    turn: OpenTurn | None = None
    started_s: float = field(default_factory=time.time)

    @property
    def identity(self) -> TaskRun:
        """Which run this is."""
        return TaskRun(
            tenant=self.principal.tenant.id,
            caller=self.principal.caller_id,
            user=self.request.user,
            task=self.task.name,
            version=self.task.version,
            request_id=self.context.request_id,
            started_s=self.started_s,
        )

    @property
    def is_cached(self) -> bool:
        """Whether nothing was asked of a model."""
        return self.asked == self.hits

    def answer(self, inputs: Inputs) -> JsonValue:
        """The output: one turn of the conversation, if the run is of one, however often a model is asked for it."""
        if self.request.conversation_id is not None:
            self.turn = self._claim_turn(self.request.conversation_id, inputs)
        with abandoned_on_failure(self.turn):
            output = self.ask(inputs) if self.code is None else self.code.answer(inputs, self)
        if self.turn is not None:
            self.turn.complete({"choices": [{"message": {"role": "assistant", "content": as_text(output)}}]})
        return output

    def check(self, inputs: Inputs) -> int:
        """See Runner.check."""
        rendered = self.task.render(inputs)
        context = replace(self.context, complexity=rendered.complexity, is_prompt_fixed=True)
        with self._naming_inputs(inputs):
            return self.gateway.check(self._chat(rendered), self.principal, context)

    def ask(
        self, inputs: Inputs, *, anew: bool = False, keep: bool = True, schema: JsonObject | None = None
    ) -> JsonValue:
        """See Call.ask."""
        rendered = self.task.render(inputs)
        # A second question, for what is missing, is part of the same work.
        self.complexity = self.complexity or rendered.complexity
        checks_itself = self.code is not None and self.code.checks_output
        context = replace(
            self.context,
            skip_cache=self.context.skip_cache or anew or self.task.file.cache_ttl_s == 0,
            is_prompt_fixed=True,
            operation="task",
            complexity=self.complexity,
            cache_ttl_s=self.task.file.cache_ttl_s if keep else 0,
            answer_format=None if checks_itself else self.task.answer_format,
            preferred_format=self.task.answer_format if schema is None else self.task.format_of(schema),
            turn=self.turn,
        )
        with self._naming_inputs(inputs):
            answer = self.gateway.complete(self._chat(rendered), self.principal, context)
        self._add_up(answer.body, answer.provenance)
        return self._output(answer.body)

    def admit(self, inputs: Inputs, source: str) -> None:
        """See Call.admit."""
        rendered = self.task.render(inputs)
        context = replace(self.context, operation="task", complexity=rendered.complexity)
        with self._naming_inputs(inputs):
            self.last = self.gateway.record_without_model(self._chat(rendered), self.principal, context, source=source)

    def _claim_turn(self, conversation_id: str, inputs: Inputs) -> OpenTurn:
        rendered = self.task.render(inputs)
        context = replace(self.context, complexity=rendered.complexity)
        call = TaskCall(self.task.name, inputs)
        with self._naming_inputs(inputs):
            return self.gateway.claim_turn(conversation_id, self._chat(rendered), self.principal, context, call)

    @contextmanager
    def _naming_inputs(self, inputs: Inputs) -> Iterator[None]:
        """Let an error about a chat request name what of the task's request it came from."""
        try:
            yield
        except GuardBlockedError as error:
            if error.param is None:
                # It was the answer.
                raise
            error.param = f"inputs.{name}" if (name := _matched_input(error, inputs)) else "inputs"
            raise
        except SluiceError as error:
            error.param = _PARAMS.get(error.param or "", error.param)
            raise

    def _chat(self, rendered: Rendered) -> ChatRequest:
        request, sampling = self.request, self.task.file.sampling
        metadata = {"sluice_task": self.task.name, "sluice_user": request.user}
        fields: JsonObject = {
            "model": request.model,
            "messages": [
                {"role": "system", "content": rendered.system},
                {"role": "user", "content": rendered.user},
            ],
            "max_tokens": sampling.max_tokens if request.max_tokens is None else request.max_tokens,
            "temperature": sampling.temperature if request.temperature is None else request.temperature,
            "top_p": sampling.top_p,
            # Not every model takes a schema. It is in the prompt, and the answer is held against it here.
            "response_format": None if self.task.schema is None else {"type": "json_object"},
            "metadata": {name: value for name, value in metadata.items() if value is not None},
        }
        return ChatRequest.model_validate({name: value for name, value in fields.items() if value is not None})

    def _add_up(self, body: JsonObject, provenance: Provenance) -> None:
        usage = Usage.from_body(body) or Usage(0, 0)
        self.asked += 1
        self.hits += provenance.is_cached
        self.used = _sum(self.used, usage)
        self.spent = self.spent if provenance.is_cached else _sum(self.spent, usage)
        self.cost_usd += provenance.cost_usd or 0
        self.model = provenance.model or self.model
        self.last = replace(provenance, cost_usd=self.cost_usd)

    def _output(self, body: JsonObject) -> JsonValue:
        choice = (body.get("choices") or [{}])[0]
        self.finish_reason = choice.get("finish_reason")
        # Models are told to leave the tags out, and do not always.
        text = without_tags(str((choice.get("message") or {}).get("content") or ""))
        if self.task.schema is None:
            return text
        try:
            return cast("JsonValue", json.loads(text))
        except ValueError:
            if self.finish_reason == "length":
                # A chat gets what there is of it; a task promises its output whole, and would be cut off again.
                reason = "The answer was cut off before its JSON was complete: raise max_tokens."
                raise InvalidAnswerError(reason, param="max_tokens") from None
            raise InvalidAnswerError("The answer is not the JSON that the task promises.") from None


def _result(run: _Run, output: JsonValue, inputs: Inputs, response_time_s: float) -> TaskResult:
    task, expectation = run.task, run.task.file.quality
    quality = assess(
        output,
        expectation,
        required=None if (schema := output_schema(task)) is None else schema.get("required", ()),
        mentions=[str(inputs[name]) for name in expectation.mentions],
        response_time_s=response_time_s,
        completion_tokens=run.used.completion_tokens,
        usual_tokens=task.file.sampling.max_tokens,
        was_cut_off=run.finish_reason == "length",
    )
    body: ResultBody = {
        "object": "task.result",
        "request_id": run.context.request_id,
        "task": task.name,
        "version": task.version,
        "output": output,
        "finish_reason": run.finish_reason,
        "model": run.model,
        "complexity": run.complexity,
        "usage": {
            "prompt_tokens": run.used.prompt_tokens,
            "completion_tokens": run.used.completion_tokens,
            "total_tokens": run.used.total_tokens,
        },
        "cost_usd": float(run.cost_usd),
        "cached": run.is_cached,
        "response_time_ms": int(response_time_s * 1000),
        "quality": quality.shown(),
    }
    if run.request.conversation_id is not None:
        body["conversation_id"] = run.request.conversation_id
    return TaskResult(body, run.last or Provenance(request_id=run.context.request_id))


def as_text(output: JsonValue) -> str:
    """An output as a message has it."""
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


def _is_of_version(error: InvalidAnswerError | GuardBlockedError, request: TaskRequest) -> bool:
    """Whether the answer broke a rule: the version's own failure, unlike a provider's, and unlike bad input."""
    if isinstance(error, GuardBlockedError):
        return error.param is None
    was_cut_off_by_caller = error.param == "max_tokens" and request.max_tokens is not None
    return not was_cut_off_by_caller


def _matched_input(error: GuardBlockedError, inputs: Inputs) -> str | None:
    """The input that a guard rule matched in; None if that takes several of them, or none."""
    rule_id = str(error.code)
    for name, value in inputs.items():
        said = Message(role="user", content=as_text(value))
        found = check_prompt([said], max_characters=_ANY_NUMBER, modes={rule_id: Mode.BLOCK})
        if said.text.strip() and any(finding.rule_id == rule_id for finding in found):
            return name
    return None


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(one.prompt_tokens + other.prompt_tokens, one.completion_tokens + other.completion_tokens)
