"""Access kinds of an AWS account. `account.py` answers who owns a key."""
