"""The mail server block: plain SMTP with STARTTLS or TLS, for where there is no Slack."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import ClassVar, Literal

from pydantic import Field

from blocks.base import SystemBlock
from blocks.check import Check, attempt
from blocks.errors import Refused, Unreachable
from blocks.secrets import Reference, resolve
from blocks.vault import VaultServer


class MailServer(SystemBlock):
    """An SMTP server that takes messages to the people of the plan, beside Slack or where there is none."""

    _block_type_name: ClassVar[str] = "Leak Response Mail Server"
    _block_type_slug: ClassVar[str] = "leak-response-mail-server"

    host: str = Field(description="Name or address of the SMTP server")
    port: int = Field(default=587, gt=0, lt=65536, description="Port: 587 for starttls, 465 for tls")
    encryption: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="none only for a server on this machine"
    )
    sender: str = Field(description="Address the messages come from", pattern=r"[^@\s]+@[^@\s]+")
    username: str | None = Field(default=None, description="Name to log in with, if the server asks for it")
    password: list[Reference] = Field(
        default_factory=list, description="Where its password is kept, first that answers wins"
    )
    ca_bundle: str | None = Field(default=None, description="CA file to trust instead of the system's")
    timeout_s: int = Field(default=15, gt=0, le=300, description="Seconds to wait for an answer")
    vault: VaultServer | None = Field(default=None, description="Where vault: references are read")

    def send(self, message: EmailMessage) -> list[str]:
        """Send one message; returns the recipients that the server refused.

        Raises Unreachable when it does not answer or asks to come back later, Refused when it says no to all.
        """
        with self._errors("sending"), self._session() as session:
            try:
                return sorted(session.send_message(message))
            except smtplib.SMTPRecipientsRefused as error:
                if all(code >= 500 for code, _ in error.recipients.values()):
                    raise Refused(
                        "The mail server refused every recipient.", "Check the addresses in the plan."
                    ) from None
                raise

    def check(self) -> list[Check]:
        """Reachable, and the login is taken."""

        def connected() -> None:
            with self._errors("greeting"), self._session() as session:
                session.noop()

        return [attempt("Mail: reachable, login taken", connected)]

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        context = ssl.create_default_context(cafile=self.ca_bundle)
        if self.encryption == "tls":
            session: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=self.timeout_s, context=context
            )
        else:
            session = smtplib.SMTP(self.host, self.port, timeout=self.timeout_s)
        with session:
            if self.encryption == "starttls":
                session.starttls(context=context)
            if self.username:
                session.login(self.username, resolve(self.password, self.vault))
            yield session

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Errors without what was sent: smtplib puts addresses and lines of the message into its own."""
        try:
            yield
        except smtplib.SMTPAuthenticationError:
            raise Refused(
                "The mail server did not take the login.", "Check user name and password reference."
            ) from None
        except smtplib.SMTPResponseException as error:
            kind = Unreachable if 400 <= error.smtp_code < 500 else Refused
            raise kind(
                f"The mail server answered {error.smtp_code} ({what}).", "See its log for the reason."
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise Unreachable(
                f"The mail server did not take the message ({what}): {type(error).__name__}.",
                "Check address, port and network.",
            ) from None
