"""Judgements of cached answers: the same answer is judged once by the same rules."""

from collections.abc import Mapping

from sluice.cache.store import CachedAnswer
from sluice.guards.answer import judge_answer
from sluice.guards.rules import Finding, Mode
from sluice.storage.ttl_cache import TtlCache

# Rules come with the code, so that what they find in a text is the same for as long as a process lives.
_LIFETIME_S = 3_600.0
_MOST = 4_096


class JudgedAnswers:
    """What the rules found in answers from the cache that were judged lately. Safe to share between threads."""

    def __init__(self) -> None:
        self._found: TtlCache[tuple[Finding, ...]] = TtlCache(lifetime_s=_LIFETIME_S, most=_MOST)

    def findings(self, answer: CachedAnswer, modes: Mapping[str, Mode]) -> tuple[Finding, ...]:
        """What the rules find in an answer under a tenant's modes. Raises GuardBlockedError as `judge_answer`."""
        if not answer.digest:
            return _judge(answer, modes)
        key = f"{answer.digest} {' '.join(f'{rule} {mode}' for rule, mode in sorted(modes.items()))}"
        return self._found.get_or_fetch(key, lambda: _judge(answer, modes))


def _judge(answer: CachedAnswer, modes: Mapping[str, Mode]) -> tuple[Finding, ...]:
    _, findings = judge_answer(answer.body, None, modes)
    return findings
