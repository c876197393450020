"""Moderations, as OpenAI's API has them, by the rules of the guards."""
