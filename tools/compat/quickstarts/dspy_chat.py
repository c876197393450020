import dspy

lm = dspy.LM("openai/auto", api_base="http://localhost:8080/v1", api_key="sl-...")
dspy.configure(lm=lm)

math = dspy.ChainOfThought("question -> answer: float")
print(math(question="Two dice are tossed. What is the probability that the sum equals two?").answer)
