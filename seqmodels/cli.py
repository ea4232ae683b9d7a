"""The command line: `seqmodels train`, `evaluate`, `generate` and so on; the scripts call the same functions.

Exit codes: 0 done; 2 something that you can mend, said in a line for each fault; 130 and 143 stopped by Ctrl-C or
SIGTERM after everything was saved; 3 and 134 another process of the same run has ended; 1 a defect of the program, with
its traceback.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from seqmodels import __version__
from seqmodels.errors import UserError, out_of_memory

_EXIT_CODES = """\
exit codes: 0 done; 2 something you can mend, one line for each fault; 130 / 143 stopped by Ctrl-C / SIGTERM after
everything was saved (train --resume, or the same sweep again, goes on); 3 / 134 another process of the same run has
ended (start all of them again with --resume); 1 a defect of the program, with its traceback"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Args:
      arguments: what follows the program's name, the command first; None: those of the process.
    """
    options = _parse(_parser(), sys.argv[1:] if arguments is None else arguments)
    from seqmodels import commands  # noqa: PLC0415 (slow, and --help can do without)

    try:
        code = int(getattr(commands, options.command)(options))
        sys.stdout.flush()
        return code
    except UserError as error:
        for line in error.lines:
            print(line, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        told = out_of_memory(error)
        if told is None:
            raise
        print(told, file=sys.stderr)
        return 2


def script(command: str) -> None:
    """What a file in `scripts/` calls: runs `command` with the process's arguments and exits with its code."""
    sys.exit(main([command, *sys.argv[1:]]))


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parses; argparse itself takes no `key=value` that follows an option."""
    options, rest = parser.parse_known_args(arguments)
    if rest and (not hasattr(options, "assignments") or any(item.startswith("-") for item in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.assignments = [*options.assignments, *rest]
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seqmodels", description="Recurrent sequence models in JAX, trained from config files.", epilog=_EXIT_CODES
    )
    parser.add_argument("--version", action="version", version=f"seqmodels {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_train(commands.add_parser("train", help="train a model from a config file", epilog=_EXIT_CODES))
    _add_sweep(commands.add_parser("sweep", help="train many times, with keys drawn from ranges", epilog=_EXIT_CODES))
    _add_evaluate(commands.add_parser("evaluate", help="measure a trained model", epilog=_EXIT_CODES))
    _add_generate(commands.add_parser("generate", help="write text with a trained model", epilog=_EXIT_CODES))
    _add_predict(commands.add_parser("predict", help="say what a trained model makes of new data", epilog=_EXIT_CODES))
    _add_analyze(commands.add_parser("analyze", help="draw gradients and gates of a trained model", epilog=_EXIT_CODES))
    _add_data(commands.add_parser("data", help="show, check or fetch data sets", epilog=_EXIT_CODES))
    _add_plan(commands.add_parser("plan", help="say what a config would do on many devices", epilog=_EXIT_CODES))
    _add_benchmark(commands.add_parser("benchmark", help="measure speed on this machine", epilog=_EXIT_CODES))
    return parser


def _add_config(parser: argparse.ArgumentParser, changes: str) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a TOML file, such as configs/char_lm.toml")
    _add_assignments(parser, changes)


def _add_assignments(parser: argparse.ArgumentParser, changes: str) -> None:
    """With a default, without which argparse says that they are required."""
    parser.add_argument("assignments", metavar="KEY=VALUE", nargs="*", default=(), help=changes)


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.description = "Trains the model that a config file describes; the run folder is run.dir/run.name."
    _add_config(parser, "changes to the config, such as run.steps=200 data.path=my.txt model.cell.hidden_size=512")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder, if there is one")
    parser.add_argument("--overwrite", action="store_true", help="remove the run in the folder, if there is one")
    parser.add_argument("--keys", action="store_true", help="print every key of this config's task and leave")
    several = parser.add_argument_group(
        "several processes", "The same command is given to each; docs/scale.md has examples."
    )
    several.add_argument("--distributed", action="store_true", help="as found on Slurm, TPU pods, Kubernetes, MPI")
    several.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 meets the others")
    several.add_argument("--processes", type=_Whole(1), help="how many there are")
    several.add_argument("--index", type=_Whole(0), help="which one this is, from 0")


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Compiles a training step for many devices, which need not be there, and says what each would hold and (but of "
        "TPUs) what they would exchange. Nothing is trained."
    )
    _add_config(parser, "changes, such as devices.mesh='{data=32, model=8}'")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--devices", type=_Whole(1), default=8, metavar="N", help="how many (default 8)")
    which.add_argument("--topology", metavar="SLICE", help="of TPUs, such as v5e:2x4, by their compiler, libtpu")


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        'Trains a config many times with keys drawn from ranges (pip install "seqmodels[sweep]"), and shows which were '
        "best on the validation data. Each trial is a run folder in sweep.dir/sweep.name. The same command given again "
        "goes on with what was stopped or killed; given in several terminals at once, it shares the trials among them."
    )
    parser.add_argument("file", metavar="FILE", help="a TOML file, such as configs/sweeps/char_lm.toml")
    _add_assignments(
        parser, "changes to it, such as sweep.trials=5 set.run.steps=100 space.optimizer.learning_rate.high=0.1"
    )
    parser.add_argument("--keys", action="store_true", help="print every key of such a file and leave")


def _add_benchmark(parser: argparse.ArgumentParser) -> None:
    parser.description = "Measures speed and memory; what is compared is measured in turns."
    parts = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    _add_speed(parts.add_parser("speed", help="an LSTM's training step, by engine, against other libraries"))
    _add_growth(parts.add_parser("growth", help="how time and memory of a training step grow with its sizes"))
    _add_parallel(parts.add_parser("parallel", help="engines that do all steps at once against those that do not"))
    _add_loop(parts.add_parser("loop", help="what the training loop costs beside its steps"))
    _add_devices(parts.add_parser("devices", help="what devices gain that share a batch"))
    _add_first(parts.add_parser("first", help="how long a model takes until its first training step is done"))
    about = "Counts the kernels of a training step of an LSTM for an H100; needs its compiler, jax[cuda12], and no GPU."
    _add_output(parts.add_parser("kernels", help="what a GPU, which need not be there, would do", description=about))


def _add_speed(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Times a training step (loss to all gradients, inputs included) of one LSTM layer: ours by engine, flax, "
        'haiku, equinox and torch, as far as they are installed (pip install "seqmodels[bench]").'
    )
    parser.add_argument(
        "--case", action="append", metavar="T,B,H", help="sizes, also T,B,D,H; may be given again (default: five cases)"
    )
    parser.add_argument(
        "--dtype",
        action="append",
        choices=("float32", "tf32", "bfloat16", "float16"),
        help="compute type; tf32 and float16 on a GPU alone (default: float32 and bfloat16)",
    )
    parser.add_argument(
        "--engine",
        action="append",
        metavar="NAME",
        help="one of ours, also NAME:unroll=N or fused:span=N, with N steps, or fused:packed (default: scan, fused)",
    )
    parser.add_argument("--peer", action="append", metavar="NAME", help="a library (default: all); none: no other")
    parser.add_argument(
        "--floor", action="store_true", help="time the products alone that have to come one after the other, too"
    )
    _add_rounds(parser, 15)
    _add_output(parser)


def _add_growth(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Times a training step of LSTM, GRU and RNN while T, B, H or the number of layers grows, and says how much "
        "temporary memory it takes, by engine."
    )
    _add_rounds(parser, 7)
    parser.add_argument("--picture", metavar="FILE", help="a PNG of the curves")
    _add_output(parser)


def _add_parallel(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Times 'associative' against 'scan', and 'newton' against 'fused', over cells, sizes and lengths; then tries "
        "Newton's method on the LSTM of a small language model at the start of its training, and later."
    )
    _add_rounds(parser, 5)
    _add_output(parser)


def _add_rounds(parser: argparse.ArgumentParser, default: int, what: str = "measurements of each") -> None:
    parser.add_argument("--rounds", type=_Whole(1), default=default, help=f"{what} (default {default})")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{parser.description} Ctrl-C keeps what is done."
    parser.add_argument("--json", metavar="FILE", help="every sample, with the machine and the versions")
    parser.add_argument("--write", metavar="FILE", help="a document to put the tables into, such as docs/benchmarks.md")


def _add_loop(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measures what the training loop costs beside its steps: the same compiled step bare and inside the loop "
        "(data, rows of metrics, checkpoints), in turns."
    )
    _add_config(parser, "changes to the config")
    _add_rounds(parser, 7, "pairs of measurements")
    parser.add_argument("--steps", type=_Whole(1), default=100, help="steps in each measurement (default 100)")


def _add_devices(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Times a training step on one device, on two, on four and so on, as many as there are, in turns. On a CPU "
        "JAX_NUM_CPU_DEVICES=2 makes two of one."
    )
    _add_config(parser, "changes to the config")
    _add_rounds(parser, 15)


def _add_first(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Times how long a language model of the sizes of configs/char_lm.toml takes from its parameters to the end of "
        "its first training step, compilation included: ours and flax's, each in a new process, in turns."
    )
    _add_rounds(parser, 7)
    _add_output(parser)


def _add_run(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    parser.add_argument("folder", metavar="RUN", nargs=nargs, help="a run folder, such as runs/char_lm")
    parser.add_argument(
        "--checkpoint",
        metavar="best|last|STEP",
        default="best",
        help="which parameters: those of the best validation (default), the last, or those saved after a step",
    )


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.description = "Measures a trained model on a split of its data, beside simple baselines."
    _add_run(parser)
    parser.add_argument("--split", choices=("valid", "test"), default="test", help="default: test")


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.description = "Writes text with a trained language model, as it is drawn."
    _add_run(parser)
    parser.add_argument("--prompt", default="", help="what the text goes on from; default: the start of a line")
    parser.add_argument("--length", type=_Whole(0), default=500, help="symbols to write (default 500)")
    parser.add_argument("--line", action="store_true", help="end each text where its line ends")
    parser.add_argument("--temperature", type=float, help="0: the likeliest; 1: as learnt (default 0.8)")
    parser.add_argument("--top-k", type=int, metavar="K", help="draw among the K likeliest symbols")
    parser.add_argument("--top-p", type=float, metavar="P", help="draw among the likeliest of joint probability P")
    parser.add_argument(
        "--repetition-penalty", type=float, metavar="X", help="above 1: what is there already is less likely to return"
    )
    parser.add_argument(
        "--beam",
        type=_Whole(1),
        metavar="WIDTH",
        help="draw nothing: seek the likeliest way to the end of the line, with so many beams; --samples gives the "
        "best N of them",
    )
    parser.add_argument("--seed", type=_Whole(0, 2**32 - 1), default=0, help="decides the draws (default 0)")
    parser.add_argument("--samples", type=_Whole(1), default=1, metavar="N", help="texts to write (default 1)")


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.description = "Writes what a trained model says of new data: a line for each text, sentence or step."
    _add_run(parser)
    parser.add_argument("--input", required=True, metavar="FILE", help="the data, in UTF-8; -: the standard input")
    parser.add_argument(
        "--kind", metavar="END", help="how the data are read, such as txt, csv or jsonl; default: as the name ends"
    )
    parser.add_argument(
        "--output",
        default="-",
        metavar="FILE",
        help="where to write; default: the standard output. The file is FILE.partial until all is written; that is "
        "what a fault or Ctrl-C leaves, and an older FILE stays",
    )
    parser.add_argument(
        "--format",
        choices=("jsonl", "csv", "terminal", "html", "png"),
        help="how to write; the last three colour tagged words; default: as the output's name ends, else jsonl",
    )
    parser.add_argument(
        "--rows",
        type=_Whole(1),
        help="read so many before each answer: more are faster (default 32; of the standard input 1, each at once)",
    )
    parser.add_argument(
        "--paths",
        type=_Whole(1),
        metavar="N",
        help="forecasts of a distribution with recursive decoding: N drawn paths of each series, a line for each path "
        "and step, in place of mean and quantiles",
    )


def _add_analyze(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Draws what a trained model does with its gradients, memory and gates while it reads a sequence of its "
        "validation, before and after training, into the folder `analysis` of the run; or the pictures of "
        "docs/why_lstm.md, for which small networks are trained on the spot."
    )
    _add_run(parser, nargs="?")
    parser.add_argument(
        "--input", metavar="FILE", help="of language models: a text to read in place of the validation's"
    )
    parser.add_argument(
        "--symbols",
        type=_Whole(2),
        default=500,
        help="read so many steps at most; of sequences that are read whole, the longest of no more (default 500)",
    )
    parser.add_argument("--story", metavar="FOLDER", help="draw the pictures of docs/why_lstm.md into this folder")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.description = "Shows, checks or fetches the data sets that the project knows."
    parts = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    shown = parts.add_parser("list", help="what there is, its licence, and whether it is there")
    checked = parts.add_parser("check", help="compare files with their sha256")
    checked.add_argument("names", metavar="NAME", nargs="*", help="data sets that must be there; default: all that are")
    fetched = parts.add_parser("download", help="fetch data sets into the cache, $SEQMODELS_DATA or ~/.cache/seqmodels")
    fetched.add_argument("names", metavar="NAME", nargs="+")
    for part in (shown, checked):
        part.add_argument("--dir", metavar="FOLDER", help="folder with the files, as data.dir; default: the cache")


class _Whole:
    """Reads a whole number within bounds."""

    def __init__(self, least: int, most: int = 10**12) -> None:
        self.least = least
        self.most = most

    def __call__(self, text: str) -> int:
        if not text.lstrip("-").isdecimal() or not self.least <= int(text) <= self.most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {self.least} to {self.most} (got {text!r})")
        return int(text)


if __name__ == "__main__":
    sys.exit(main())
