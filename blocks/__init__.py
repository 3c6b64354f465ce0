"""What the system talks to: typed Prefect blocks that hold configuration and hand out clients."""
