"""Embeddings on the deployed stack, without any provider of them: the function has the model's layer."""

import math

import openai
import pytest

from tools.stack import RunningStack


def client(stack: RunningStack) -> openai.OpenAI:
    return openai.OpenAI(base_url=stack.stack.base_url, api_key=stack.stack.api_key, max_retries=0, timeout=60)


def test_the_deployed_function_makes_vectors_by_itself(stack: RunningStack) -> None:
    found = client(stack).embeddings.create(model="potion-base-8M", input=["a cat", "a kitten", "tax law"])
    cat, kitten, law = (each.embedding for each in found.data)
    assert math.sumprod(cat, cat) == pytest.approx(1, abs=1e-5)
    assert math.sumprod(cat, kitten) > math.sumprod(cat, law)
    assert "potion-base-8M" in {each.id for each in client(stack).models.list()}


def test_more_vectors_than_a_function_can_answer_whole_are_refused_where_it_does_not_stream(
    stack: RunningStack,
) -> None:
    with pytest.raises(openai.BadRequestError, match="at most"):
        client(stack).embeddings.create(model="potion-base-8M", input=["word"] * 2_048, encoding_format="float")
    found = client(stack).embeddings.create(model="potion-base-8M", input=["word"] * 2_048, encoding_format="base64")
    assert len(found.data) == 2_048
