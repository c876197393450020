from groq import Groq

client = Groq(base_url="http://localhost:8080", api_key="sl-...")

chat_completion = client.chat.completions.create(
    messages=[{"role": "user", "content": "Explain the importance of low latency LLMs"}],
    model="auto",
)
print(chat_completion.choices[0].message.content)
