"""What is remembered of events: the newest of each reason, and of a Job by its name."""

from __future__ import annotations

from typing import Any

from daybreak_operator.shell.watches import told as module
from daybreak_operator.shell.watches.told import Told


def event(version: int, uid: str = "one", reason: str = "FailedCreate", name: str = "job") -> dict[str, Any]:
    return {
        "metadata": {"uid": f"event-{version}", "resourceVersion": str(version)},
        "involvedObject": {"kind": "Job", "namespace": "ml", "name": name, "uid": uid},
        "reason": reason,
        "message": f"message {version}",
    }


def test_a_jobset_and_its_job_may_have_one_name() -> None:
    told = Told()
    of_set = event(1, uid="set", reason="JobCreationFailed")
    of_set["involvedObject"]["kind"] = "JobSet"
    told.put(of_set)
    told.put(event(2))
    assert messages(told.of_name("JobSet", "ml", "job")) == {"JobCreationFailed": "message 1"}
    assert messages(told.of_name("Job", "ml", "job")) == {"FailedCreate": "message 2"}


def messages(found: Any) -> dict[str, str]:
    return {reason: body["message"] for reason, body in found.items()}


def test_the_newest_of_each_reason_is_kept_and_found_by_uid_and_by_name() -> None:
    told = Told()
    assert told.put(event(2))
    assert not told.put(event(1))
    assert told.put(event(3, reason="Other"))
    assert messages(told.of("one")) == {"FailedCreate": "message 2", "Other": "message 3"}
    assert told.of_name("Job", "ml", "job") == told.of("one")
    assert told.of_name("Job", "other", "job") == {}


def test_a_namesake_made_anew_is_the_one_that_is_found() -> None:
    told = Told()
    told.put(event(1))
    told.put(event(2, uid="two"))
    assert messages(told.of_name("Job", "ml", "job")) == {"FailedCreate": "message 2"}


def test_an_event_that_runs_out_is_forgotten_but_not_the_one_after_it() -> None:
    told = Told()
    told.put(event(1))
    told.put(event(2))
    told.drop(event(1))
    assert messages(told.of("one")) == {"FailedCreate": "message 2"}
    told.drop(event(2))
    assert told.of("one") == {}


def test_what_was_spoken_of_longest_ago_is_forgotten_by_its_name_too() -> None:
    told = Told()
    for number in range(module.MAX_TOLD + 1):
        told.put(event(number + 1, uid=str(number), name=f"job-{number}"))
    assert told.of("0") == {}
    assert told.of_name("Job", "ml", "job-0") == {}
    assert told.of_name("Job", "ml", "job-1")
