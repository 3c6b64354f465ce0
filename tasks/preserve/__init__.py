"""Preserve: copy what is about to vanish (tokens, sessions, jobs, leases) before anything is changed."""
