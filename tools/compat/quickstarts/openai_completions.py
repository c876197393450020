from openai import OpenAI

client = OpenAI(base_url="http://localhost:8080/v1", api_key="sl-...")

completion = client.completions.create(model="auto", prompt="Say this is a test", max_tokens=64)
print(completion.choices[0].text)
