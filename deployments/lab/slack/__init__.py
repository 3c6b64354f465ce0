"""Slack for the lab: a stateful stand-in of one workspace's Web API.

It answers as Slack does (HTTP 200 with `ok: false` for errors, 429 with Retry-After), keeps channels,
messages, pins, files and views, and sends interactivity callbacks signed like Slack's.
"""
