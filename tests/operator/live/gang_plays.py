"""Plays of a gang that go alike whatever makes its pods: a test module derives a class, and brings a stage."""

from __future__ import annotations

from tests.cluster.reach import wait_for
from tests.operator.live.stage import Stage


class GangPlays:
    """Of one run of two pods."""

    def test_the_users_fault_ends_the_run_and_leaves_its_logs(self, stage: Stage) -> None:
        stage.begin()
        pods = stage.are_up(1)
        stage.cluster.finish_pod(stage.namespace, pods["0"], 2)
        stage.is_said("Succeeded", "False", "PodFailed")
        assert stage.pods(1)["0"]["status"]["phase"] == "Failed", "its log stays for a while"
        assert stage.restarts() == (0, 0)

    def test_a_suspended_run_gives_its_machines_back_and_goes_on(self, stage: Stage) -> None:
        stage.begin()
        stage.are_up(1)
        stage.suspend(True)
        stage.is_said("Suspended", "True", "Suspended")
        wait_for("no pods", lambda: not stage.pods(1))
        stage.suspend(False)
        stage.are_up(2)
        assert stage.restarts() == (0, 0)
