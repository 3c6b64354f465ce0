"""Where there is no Slack: e-mail over a real SMTP connection, or the folder alone; once and in order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from blocks.check import failed
from blocks.errors import Refused
from blocks.mail import MailServer
from tasks.notify.acting import Case
from tasks.notify.asking import ask_people
from tasks.notify.outlet import FolderOutlet, MailOutlet, outlet_for
from tasks.notify.watching import watch_incident
from tests.tasks.notify.smtp_server import Mailbox, mailbox
from tests.tasks.notify.world import AWARE, World

HOUR = timedelta(hours=1)


@pytest.fixture
def server() -> Iterator[Mailbox]:
    with mailbox() as running:
        yield running


@pytest.fixture
def mail(server: Mailbox) -> MailServer:
    return MailServer(
        host="127.0.0.1", port=server.port, encryption="none", sender="leak-response@lab.example", timeout_s=5
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.new(tmp_path)
    world.scope({"DE": 12})
    world.clocks(AWARE, {"incident.risk_level": "high"})
    return world


def test_a_message_goes_to_the_people_it_is_for(server: Mailbox, mail: MailServer, world: World) -> None:
    outlet = MailOutlet(mail, world.plan, world.folder)
    assert outlet.post("one", "*Half* the time of `EU-GDPR-33-1` is over\nmore", to=("privacy", "legal"))
    assert outlet.post("one", "again")
    (message,) = server.messages
    assert server.recipients == [["amara.okafor@lab.example", "lukas.brandt@lab.example"]]
    assert message["Subject"] == "[INC-1] Half the time of EU-GDPR-33-1 is over"
    assert "more" in message.as_string() and "*" not in message.as_string()


def test_what_nobody_is_named_for_goes_to_the_commander(
    server: Mailbox, mail: MailServer, world: World
) -> None:
    MailOutlet(mail, world.plan, world.folder).post("one", "text")
    assert server.recipients == [["ines.moreau@lab.example"]]


def test_it_waits_while_the_server_is_busy_and_goes_out_in_order(
    server: Mailbox, mail: MailServer, world: World
) -> None:
    server.busy = True
    outlet = MailOutlet(mail, world.plan, world.folder)
    assert not outlet.post("one", "first") and not outlet.post("two", "second")
    assert "answered 451" in outlet.problems[0]
    server.busy = False
    assert MailOutlet(mail, world.plan, world.folder).post("three", "third")
    assert [message.get_payload().strip() for message in server.messages] == ["first", "second", "third"]


def test_a_lost_answer_repeats_the_same_message_id(server: Mailbox, mail: MailServer, world: World) -> None:
    server.cut_after_data = True
    assert not MailOutlet(mail, world.plan, world.folder).post("one", "first")
    server.cut_after_data = False
    assert MailOutlet(mail, world.plan, world.folder).post("two", "second")
    ids = [message["Message-ID"] for message in server.messages]
    assert len(ids) == 3 and ids[0] == ids[1] != ids[2]  # a mailbox drops what it has under the same id


def test_who_left_is_named_by_count_and_the_others_get_it(
    server: Mailbox, mail: MailServer, world: World
) -> None:
    server.refuse = {"lukas.brandt@lab.example"}
    outlet = MailOutlet(mail, world.plan, world.folder)
    assert outlet.post("one", "text", to=("privacy", "legal"))
    assert outlet.problems == ["Mail: 1 recipients of one were refused."]
    server.refuse = {"lukas.brandt@lab.example", "amara.okafor@lab.example"}
    assert not outlet.post("two", "text", to=("privacy", "legal"))
    with pytest.raises(Refused) as refused:
        mail.send(outlet._as_mail(outlet._outbox.waiting()[0]))
    assert "lukas" not in str(refused.value)


def test_the_check_names_a_server_that_is_not_there(mail: MailServer) -> None:
    assert failed(mail.check()) == []
    dead = MailServer(**{**mail.model_dump(), "port": 9})
    assert "did not take" in failed(dead.check())[0].problem


def test_the_watch_and_the_questions_go_by_mail(server: Mailbox, mail: MailServer, world: World) -> None:
    outlet = outlet_for(None, mail, world.plan, world.folder)
    assert ask_people(Case(world.incident, world.plan, world.folder, world.ledger), outlet) == []
    for _ in range(2):
        watch_incident(world.incident, world.plan, world.folder, world.ledger, outlet, AWARE + 40 * HOUR)
    subjects = [str(message["Subject"]) for message in server.messages]
    assert "[INC-1] Deadlines of INC-1" in subjects
    ids = [message["Message-ID"] for message in server.messages]
    assert len(ids) == len(set(ids)) > 3


def test_with_nothing_at_all_the_folder_has_it(world: World) -> None:
    outlet = outlet_for(None, None, world.plan, world.folder)
    assert isinstance(outlet, FolderOutlet)
    watch_incident(world.incident, world.plan, world.folder, world.ledger, outlet, AWARE + 40 * HOUR)
    assert "half" in outlet.path.read_text(encoding="utf-8")
    assert "Duties" in (world.folder.path / "notify" / "status.txt").read_text(encoding="utf-8")
