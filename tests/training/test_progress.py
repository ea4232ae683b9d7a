"""What a person sees: one live line on a terminal, plain whole lines elsewhere."""

import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import textwrap
from fcntl import ioctl

import pytest
from rich.console import Console

from seqmodels.errors import UserError
from seqmodels.training import progress as progress_module
from seqmodels.training.progress import Progress, TensorBoard, format_measure, format_number

ROW = {"train/loss_nats": 1.23456, "train/tokens_per_s": 123456.7, "grad_norm": 0.51239, "learning_rate": 0.002}
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(width=20, encoding="utf-8"):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True, newline="\n")
    return stream, Console(file=stream, width=width)


def written(stream):
    return stream.buffer.getvalue().decode(stream.encoding)


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (3, "3"),
        (0.5, "0.5"),
        (-1.23456, "-1.235"),
        (999.96, "1000"),
        (1000, "1,000"),
        (1234567.8, "1,234,568"),
        (1e-7, "1e-07"),
        (1e20, "1e+20"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_numbers(value, shown):
    assert format_number(value) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("train/loss_nats", "loss 2 nats"),
        ("valid/bits_per_char", "2 bits/char"),
        ("tokens_per_s", "2 tokens/s"),
        ("grad_norm", "grad norm 2"),
        ("valid/perplexity", "perplexity 2"),
        ("step_time_s", "step time 2 s"),
        ("compile_seconds", "compile 2 s"),
        ("nats", "nats 2"),
    ],
)
def test_measures_carry_their_unit(name, shown):
    assert format_measure(name, 2.0) == shown


def test_lines_that_are_not_for_a_terminal_are_plain_and_whole(clock):
    stream, console = plain()
    with Progress(2000, console=console) as progress:
        progress.note("run folder runs/[bold]a[/bold] :smile: " + "x" * 100)
        progress.train(100, ROW)
        clock[0] += 30.0
        progress.train(200, ROW)
        progress.validation(200, {"valid/bits_per_char": 3.2101, "valid/loss_nats": 2.2})
        progress.text("sample", "one [red]two[/red]\n\n  three")
    assert written(stream).splitlines() == [
        "run folder runs/[bold]a[/bold] :smile: " + "x" * 100,
        "step 100/2,000  loss 1.235 nats  123,457 tokens/s  grad norm 0.5124  learning rate 0.002",
        "step 200/2,000  loss 1.235 nats  123,457 tokens/s  grad norm 0.5124  learning rate 0.002  0:09:00 left",
        "step 200/2,000  validation  3.21 bits/char  loss 2.2 nats",
        "sample",
        "one [red]two[/red]",
        "",
        "  three",
    ]


def test_the_time_left_counts_from_the_first_row(clock):
    stream, console = plain()
    with Progress(1000, console=console) as progress:
        clock[0] += 500.0  # compilation
        progress.train(900, {})  # a resumed run
        clock[0] += 10.0
        progress.train(950, {})
        progress.train(1000, {})
    assert written(stream).splitlines() == [
        "step 900/1,000",
        "step 950/1,000  0:00:10 left",
        "step 1,000/1,000  0:00:00 left",
    ]


def test_samples_cannot_steer_the_terminal():
    stream, console = plain()
    with Progress(1, console=console) as progress:
        progress.text("bytes", "a\x1b[2Jb\x07\r\x9bc\nline \x00")
    assert written(stream) == "bytes\na\\x1b[2Jb\\x07\\r\\x9bc\nline \\x00\n"


def test_what_the_encoding_lacks_is_escaped():
    stream, console = plain(encoding="ascii")
    with Progress(1, console=console) as progress:
        progress.text("sample", "naïve \ud800")
        progress.note("→")
    assert written(stream) == "sample\nna\\xefve \\ud800\n\\u2192\n"


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = io.StringIO()
    with Progress(10, console=Console(file=stream, force_terminal=True, no_color=True)) as progress:
        progress.train(5, {"train/loss_nats": 1.0})
    assert "step 5/10  loss 1 nats" in stream.getvalue()
    assert "\x1b[?25" not in stream.getvalue()


@pytest.mark.parametrize("width", [60, 100, 160])
def test_a_terminal_has_one_live_line_and_permanent_rows(width, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, color_system=None)
    with Progress(2000, console=console) as progress:
        for step in (100, 200, 300):
            progress.train(step, ROW)
        progress.validation(300, {"valid/bits_per_char": 3.2101})
        progress.train(400, ROW)
    lines = ESCAPE.sub("", stream.getvalue()).replace("\r", "\n").split("\n")
    live = [line for line in lines if "/2,000" in line and "validation" not in line]
    assert {"100", "200", "300", "400"} <= {re.search(r"step (\d+)/", line)[1] for line in live}
    assert all(len(line) <= width for line in live)
    assert all("loss 1.235" in line for line in live)
    assert ("learning rate 0.002" in live[-1]) == (width > 100)
    assert live[-1].rstrip().endswith("left")
    assert sum("validation  3.21 bits/char" in line for line in lines) == 1
    assert {line.strip() for line in lines} - {line.strip() for line in live} <= {
        "",
        "step 300/2,000  validation  3.21 bits/char",
    }


def test_a_real_terminal_keeps_its_cursor():
    code = textwrap.dedent("""
        from seqmodels.training.progress import Progress
        with Progress(10) as progress:
            progress.train(1, {"train/loss_nats": 1.0})
            progress.note("[a note]")
            import os; os._exit(7)
    """)
    main, terminal = pty.openpty()
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=terminal, check=False)
    os.close(terminal)
    output = os.read(main, 100_000).decode()
    os.close(main)
    assert done.returncode == 7
    assert "step 1/10" in output
    assert "[a note]" in output
    assert output.rfind("\x1b[?25h") > output.rfind("\x1b[?25l")


def test_tensorboard_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r'pip install "seqmodels\[tensorboard\]"'):
        TensorBoard(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_has_the_curves(tmp_path):
    pytest.importorskip("tensorboardX", reason='needs pip install "seqmodels[tensorboard]"')
    with TensorBoard(tmp_path / "tensorboard") as board:
        board.write(10, {"train/loss_nats": 1.5, "grad_norm": float("nan")})
    events = b"".join(path.read_bytes() for path in (tmp_path / "tensorboard").iterdir())
    assert b"train/loss_nats" in events
    assert struct.pack("<f", 1.5) in events
    with TensorBoard(tmp_path / "tensorboard", first_step=5) as board:
        board.write(5, {"train/loss_nats": 2.5})
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
