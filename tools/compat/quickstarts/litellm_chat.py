from litellm import completion

response = completion(
    model="openai/auto",
    api_base="http://localhost:8080/v1",
    api_key="sl-...",
    messages=[{"role": "user", "content": "Hello, how are you?"}],
)
print(response.choices[0].message.content)
