"""What makes the code quick to load: dataclasses that compile late, and data that the build has read."""
