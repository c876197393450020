from openai import OpenAI

client = OpenAI(base_url="http://localhost:8080/v1", api_key="sl-...")

embedding = client.embeddings.create(model="text-embedding-3-small", input="The food was delicious.")
print(len(embedding.data[0].embedding), "dimensions")
