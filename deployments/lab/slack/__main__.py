"""Runs the lab's Slack: `python -m deployments.lab.slack PORT`, until its standard input ends.

The bot's token, the signing secret and the control token come in the environment (LAB_SLACK_TOKEN,
LAB_SLACK_SIGNING_SECRET, LAB_CONTROL_TOKEN).
"""

from __future__ import annotations

import os
import sys
import threading

from .web import serve


def end_with_parent() -> None:
    """Wait for the end of standard input, then end this process."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    serve(
        int(sys.argv[1]),
        os.environ["LAB_SLACK_TOKEN"],
        os.environ["LAB_SLACK_SIGNING_SECRET"],
        os.environ["LAB_CONTROL_TOKEN"],
    )
