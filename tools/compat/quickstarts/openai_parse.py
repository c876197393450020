from openai import OpenAI
from pydantic import BaseModel

client = OpenAI(base_url="http://localhost:8080/v1", api_key="sl-...")


class Step(BaseModel):
    explanation: str
    output: str


class MathResponse(BaseModel):
    steps: list[Step]
    final_answer: str


completion = client.chat.completions.parse(
    model="auto",
    messages=[
        {"role": "system", "content": "You are a helpful math tutor."},
        {"role": "user", "content": "solve 8x + 31 = 2"},
    ],
    response_format=MathResponse,
)
print(completion.choices[0].message.parsed)
