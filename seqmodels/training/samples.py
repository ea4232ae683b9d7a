"""The file of texts that a run writes while it learns."""

import re

from seqmodels.training.run_folder import RunFolder

SAMPLES = "samples.txt"
_HEADING = re.compile(rb"^=== step (\d+) ===$", re.MULTILINE)


def add_sample(folder: RunFolder, step: int, text: str) -> None:
    """Adds the text written after `step`, under a heading."""
    folder.append_text(SAMPLES, f"=== step {step} ===\n{text}\n\n")


def drop_samples_after(folder: RunFolder, step: int) -> None:
    """Takes back what was written after `step`; a resumed run will write it again."""
    path = folder.path / SAMPLES
    if not path.exists():
        return
    data = path.read_bytes()
    data = data[: data.rfind(b"\n") + 1]  # a killed process may leave a torn line, in the middle of a character even
    later = next((match.start() for match in _HEADING.finditer(data) if int(match[1]) > step), len(data))
    folder.write_text(SAMPLES, data[:later].decode("utf-8", "replace"))  # a damaged text ends no run
