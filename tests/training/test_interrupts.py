"""Signals: the first is noted, the second ends the process."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from seqmodels.training.interrupts import Interrupts, exit_code

CHILD = textwrap.dedent("""
    import hashlib, sys
    from seqmodels.training.interrupts import Interrupts, exit_code

    with Interrupts() as interrupts:
        print("ready", flush=True)
        if sys.argv[1] == "outside":
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # for many minutes
        while True:
            if sys.argv[1] == "leave" and interrupts.requested:
                print("saved after", interrupts.requested.name, flush=True)
                break
            if interrupts.requested and sys.argv[1] == "stay":
                print("noted", flush=True)
                sys.argv[1] = "silent"
    sys.exit(exit_code(interrupts.requested))
""")


def start(mode: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu"}
    child = subprocess.Popen([sys.executable, "-c", CHILD, mode], env=environment, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    return child


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_lets_the_loop_leave_in_order(number, code):
    child = start("leave")
    child.send_signal(number)
    output, _ = child.communicate(timeout=60)
    assert output == f"saved after {number.name}\n"
    assert child.returncode == code


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)],
)
def test_the_second_signal_ends_the_process_at_once(first, second):
    child = start("stay")
    child.send_signal(first)
    assert child.stdout.readline() == "noted\n"
    child.send_signal(second)
    output, _ = child.communicate(timeout=60)
    assert output == ""
    assert child.returncode == -second


@pytest.mark.parametrize(("first", "second"), [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
def test_the_second_signal_does_not_wait_for_a_main_thread_outside_python(first, second):
    """As in a long compilation: no handler is called there, and two signals of a kind would become one."""
    child = start("outside")
    time.sleep(0.2)
    child.send_signal(first)
    time.sleep(0.2)
    assert child.poll() is None
    child.send_signal(second)
    child.communicate(timeout=60)
    assert child.returncode == exit_code(second)


def test_former_handlers_come_back():
    def mine(number, frame):
        raise AssertionError

    former = signal.signal(signal.SIGTERM, mine)
    try:
        before = signal.getsignal(signal.SIGINT)
        with contextlib.suppress(RuntimeError), Interrupts() as interrupts:
            assert signal.getsignal(signal.SIGTERM) is not mine
            signal.raise_signal(signal.SIGTERM)
            assert interrupts.requested is signal.SIGTERM
            raise RuntimeError
        assert signal.getsignal(signal.SIGTERM) is mine
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGTERM, former)


def test_without_a_signal_nothing_is_requested():
    with Interrupts() as interrupts:
        assert interrupts.requested is None
    assert interrupts.requested is None


def test_in_another_thread_it_does_nothing():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with Interrupts() as interrupts:
            seen.append((interrupts.requested, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]
    assert signal.getsignal(signal.SIGINT) is before


def test_exit_codes_are_those_of_a_shell():
    assert [exit_code(signal.SIGINT), exit_code(signal.SIGTERM)] == [130, 143]
