import instructor
from openai import OpenAI
from pydantic import BaseModel

client = instructor.from_openai(OpenAI(base_url="http://localhost:8080/v1", api_key="sl-..."))


class User(BaseModel):
    name: str
    age: int


user = client.chat.completions.create(
    model="auto",
    response_model=User,
    messages=[{"role": "user", "content": "John is 25 years old"}],
)
print(user)
