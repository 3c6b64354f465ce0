"""Drafts that could be sent: figures from scope, measures from containment, and every gap in plain sight."""
