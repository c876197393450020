"""The embedding model of Sluice's own functions (docs/decisions/0061-vectors-are-added-as-whole-numbers.md)."""
