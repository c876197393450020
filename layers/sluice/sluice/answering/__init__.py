"""Questions about what was used, what is left and what documents say, answered from Sluice's own data."""
