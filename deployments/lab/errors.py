"""The lab's own error: what is wrong and what to do, like the product's, without importing the product."""


class LabError(Exception):
    """The lab cannot start or has lost a server. `problem` and `fix` are one line each."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem} {fix}")
        self.problem = problem
        self.fix = fix
