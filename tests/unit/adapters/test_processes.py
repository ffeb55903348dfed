"""Children die with their parent, whatever kills it, and their own children with them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import processes, reaper
from adapters.errors import DependencyUnavailable

SLEEP = [sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(600)"]
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""
PARENT = """
import os, sys, threading, time
from pathlib import Path
from adapters import processes, reaper
def start():
    child = processes.start("child", [sys.executable, "-S", "-c", sys.argv[2]], log=Path(sys.argv[1]))
    print(child.pid, flush=True)
thread = threading.Thread(target=start)
thread.start()
thread.join()
time.sleep(600)
"""


def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    give_up = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.02)


def start_family(tmp_path: Path) -> tuple["subprocess.Popen[str]", int, int]:
    """A parent, its child (started from a thread that has ended) and that one's child."""
    log = tmp_path / "log"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(log), FAMILY], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    until(lambda: log.exists() and log.read_text().strip().isdecimal())
    return parent, child, int(log.read_text())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_and_theirs_die_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    parent, child, grandchild = start_family(tmp_path)
    assert processes.running(child)
    assert processes.running(grandchild)
    parent.send_signal(number)
    parent.communicate(timeout=10)
    until(lambda: not processes.running(child) and not processes.running(grandchild))


def test_without_the_kernels_help_they_die_too(tmp_path: Path) -> None:
    """The fallback alone, as on a system without PR_SET_PDEATHSIG."""
    script = PARENT.replace("def start():", "processes.spawning.spawner._prctl = None\ndef start():")
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "log"), "import time; time.sleep(600)"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate(timeout=10)
    until(lambda: not processes.running(child))


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """The kernel's signal follows the thread, so that a short-lived one must not be the child's parent."""
    parent, child, _ = start_family(tmp_path)
    time.sleep(0.5)
    assert processes.running(child)
    parent.kill()
    parent.communicate(timeout=10)


def test_a_detached_child_lives_on_and_is_stopped_by_pid(tmp_path: Path) -> None:
    script = PARENT.replace("log=Path(sys.argv[1])", "log=Path(sys.argv[1]), detach=True")
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "log"), "import time; time.sleep(600)"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    known = processes.identity(child)
    parent.kill()
    parent.communicate(timeout=10)
    time.sleep(1.0)
    assert processes.running(child, known)
    assert processes.stop_pid(child, known=known)
    assert not processes.running(child)
    assert not processes.stop_pid(child, known=known)


def test_a_pid_that_another_process_has_now_is_left_alone(tmp_path: Path) -> None:
    child = processes.start("sleeper", SLEEP, log=tmp_path / "log")
    assert not processes.running(child.pid, "another start time")
    assert not processes.stop_pid(child.pid, known="another start time")
    assert child.alive()
    assert child.stop() == -signal.SIGTERM


def test_stop_kills_what_ignores_a_request(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    child = processes.start("stubborn", [sys.executable, "-S", "-c", stubborn], log=tmp_path / "log")
    until(lambda: child.log_tail() == "up")
    assert child.stop(grace_s=0.2) == -signal.SIGKILL
    assert child.stop() == -signal.SIGKILL


def test_stop_takes_the_childs_children_along(tmp_path: Path) -> None:
    child = processes.start("family", [sys.executable, "-S", "-c", FAMILY], log=tmp_path / "log")
    until(lambda: child.log_tail().isdecimal())
    grandchild = int(child.log_tail())
    child.stop()
    until(lambda: not processes.running(grandchild))


def test_a_signal_to_our_group_spares_the_child(tmp_path: Path) -> None:
    """Ctrl-C goes to us; we decide in which order our children end."""
    child = processes.start("sleeper", SLEEP, log=tmp_path / "log")
    assert os.getpgid(child.pid) == child.pid != os.getpgrp()
    child.stop()


def test_waiting_says_what_a_child_said_before_it_died(tmp_path: Path) -> None:
    child = processes.start("a server", ["/bin/sh", "-c", "echo no such option; exit 3"], log=tmp_path / "log")
    with pytest.raises(DependencyUnavailable, match=r"(?s)a server ended with status 3.*no such option"):
        processes.wait_healthy(child, lambda: False, deadline_s=5)


def test_waiting_gives_up_at_the_deadline_and_ends_the_child(tmp_path: Path) -> None:
    child = processes.start("a server", SLEEP, log=tmp_path / "log")
    with pytest.raises(DependencyUnavailable, match=r"did not answer within 0\.3 s"):
        processes.wait_healthy(child, lambda: False, deadline_s=0.3)
    assert not child.alive()


def test_a_check_that_cannot_connect_yet_is_asked_again(tmp_path: Path) -> None:
    child = processes.start("a server", SLEEP, log=tmp_path / "log")
    answers = iter([OSError, OSError, None])

    def check() -> bool:
        answer = next(answers)
        if answer is not None:
            raise answer
        return True

    processes.wait_healthy(child, check, deadline_s=5)
    child.stop()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailable, match="the broker does not start: /no/such/program: No such file"):
        processes.start("the broker", ["/no/such/program"], log=tmp_path / "log")


def test_a_free_port_can_be_listened_on() -> None:
    port = processes.free_port()
    assert processes.port_is_free(port)


def test_logs_are_appended_to(tmp_path: Path) -> None:
    for word in ("first", "second"):
        processes.start("echo", ["/bin/echo", word], log=tmp_path / "deep" / "log").wait(5)
    assert (tmp_path / "deep" / "log").read_text() == "first\nsecond\n"
    assert processes.tail(tmp_path / "nothing") == "(nothing)"


def test_a_later_process_with_the_number_of_a_dead_child_is_spared(tmp_path: Path) -> None:
    innocent = processes.start("innocent", SLEEP, log=tmp_path / "log", detach=True)
    reaper.kill({innocent.pid: "another start time"})
    assert innocent.alive()
    reaper.kill({innocent.pid: reaper.started(innocent.pid)})
    until(lambda: not innocent.alive())
