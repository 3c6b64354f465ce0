"""The errors a user meets: each says what is wrong and what to do next."""


class LeakResponseError(Exception):
    """Base of every error this product raises on purpose.

    `problem` is one line on what is wrong, `fix` one line on what to do about it. Neither may carry a
    secret or personal data: both end up in run history, logs and Slack.
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem} {fix}")
        self.problem = problem
        self.fix = fix


class BadInput(LeakResponseError):
    """What the user passed cannot be used; nothing was changed."""


class PlanError(BadInput):
    """The response plan is wrong; the message names line and key."""


class Unreachable(LeakResponseError):
    """A server did not answer, or answered that it cannot serve now. Trying again may help."""


class Refused(LeakResponseError):
    """A server answered and said no: credentials, permission or policy. Trying again will not help."""


class SecretUnavailable(LeakResponseError):
    """A secret could not be read from any of the places the configuration names."""
