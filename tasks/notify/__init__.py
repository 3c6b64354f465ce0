"""Notify: which duties are owed and when each is due, and telling the people who must know."""
