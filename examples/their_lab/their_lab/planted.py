"""A history that the check must fail, and the same one without the defect, which it must pass."""

from netra_sim.defects.planted import PlantedHistory, Story
from netra_sim.history import Objectives


def _build(is_planted: bool) -> Story:
    """A run of Alice, which ends a second time."""
    story = Story().run()
    if is_planted:
        story.recorder.published("alice.1", "alice", "agent_completed", 99)
    return story


PLANTED_DOUBLE_END = PlantedHistory(
    check="double-ends", defect="A run ends twice.", build=_build, objectives=Objectives()
)
