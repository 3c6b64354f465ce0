"""What is left for people after replacing: nothing that was done, everything that was not."""

from __future__ import annotations

from deployments.lab.aws.world import STOLEN_FROM
from tasks.remediate.steps import open_steps

from .conftest import Scene


def steps(scene: Scene) -> list[tuple[str, str, str]]:
    found = open_steps(scene.incident, scene.systems.plan, scene.folder, scene.ledger)
    return [(step.kind, step.about, step.instructions) for step in found]


def test_what_was_replaced_and_works_is_no_step(scene: Scene) -> None:
    scene.cut(f"aws-user={STOLEN_FROM}")
    before = steps(scene)
    assert [kind for kind, _, _ in before] == ["replace"]
    assert "aws:secretsmanager/integrations/support-chat/key" in before[0][2]

    scene.replace()

    assert steps(scene) == []


def test_a_credential_that_needs_a_person_is_one_step_with_what_to_do(scene: Scene) -> None:
    scene.aws.client("iam").create_access_key(UserName=STOLEN_FROM)
    scene.cut(f"aws-access-key={scene.aws_world.stolen.access_key_id}")
    scene.replace()

    ((kind, about, text),) = steps(scene)

    assert (kind, about) == ("replace", "Support Chat")
    assert text.startswith(f"Both key slots of {STOLEN_FROM} are taken")
