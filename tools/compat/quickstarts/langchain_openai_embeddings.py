from langchain_openai import OpenAIEmbeddings

embeddings = OpenAIEmbeddings(
    model="text-embedding-3-small",
    base_url="http://localhost:8080/v1",
    api_key="sl-...",
    check_embedding_ctx_length=False,
)

print(len(embeddings.embed_query("What is the meaning of life?")), "dimensions")
