"""Access kinds of Vault (or OpenBao). `server.py` is the small face of its API that they use."""
