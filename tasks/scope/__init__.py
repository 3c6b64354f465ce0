"""Whose data left: from event logs to records, fields, people, where they live and what was shown."""
