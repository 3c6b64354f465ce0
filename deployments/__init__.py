"""Where it runs: the command line, the served deployments, and the embedded lab."""
