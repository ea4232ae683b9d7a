"""What a run is computed with: versions, devices, and the commit of the source."""

import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jax

from seqmodels import __version__
from seqmodels.training.run_folder import RunFolder

ENVIRONMENT: Final = "environment.json"
_PACKAGES: Final = ("jax", "jaxlib", "numpy", "optax", "flax", "safetensors")
_SOURCE: Final = Path(__file__).parent.parent


def environment() -> dict[str, Any]:
    """Everything, beside config and data, on which the numbers of a run may depend.

    Returns:
      JSON: versions, the kind of device and how many there are, and where the source lies in a repository its commit,
      with "+" behind it if files differ from that; else None.
    """
    device = jax.devices()[0]
    return {
        "seqmodels": __version__,
        "commit": commit(_SOURCE),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
        "backend": jax.default_backend(),
        "device": device.device_kind,
        "devices": jax.device_count(),
        "processes": jax.process_count(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def record(folder: RunFolder, now: Mapping[str, Any], step: int) -> list[str]:
    """Writes into `environment.json` what goes on from a step, if that is another environment than before.

    Args:
      folder: of the run, locked.
      now: JSON, what `environment` gives and more.
      step: the last one that is done.

    Returns:
      What is another than before, a few words each.
    """
    parts = _read(folder)
    last = {key: value for key, value in parts[-1].items() if key != "from_step"} if parts else dict(now)
    if not parts or last != now:
        folder.write_json(ENVIRONMENT, [*parts, {"from_step": step, **now}])
    return differences(last, now)


def _read(folder: RunFolder) -> list[dict[str, Any]]:
    """What was written so far; nothing if that cannot be read: it is only told, nothing follows from it."""
    try:
        parts = json.loads((folder.path / ENVIRONMENT).read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    return parts if isinstance(parts, list) and all(isinstance(part, dict) for part in parts) else []


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is another, a few words each.

    Example:
      >>> differences({"jax": "0.10.1", "devices": 1}, {"jax": "0.10.2", "devices": 1})
      ['jax was 0.10.1, now 0.10.2']
    """
    names = dict.fromkeys((*before, *now))
    return [f"{n} was {before.get(n)}, now {now.get(n)}" for n in names if before.get(n) != now.get(n)]


def commit(folder: Path) -> str | None:
    """The commit that a folder of source is at, with "+" if files differ from it; None: it is in no repository.

    An installed package may lie within somebody else's repository, which does not know its files.
    """
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    found = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--", ".")
    return found and found + ("+" if changed else "")


def _git(folder: Path, *command: str) -> str | None:
    """What git says; None if it refuses or is not installed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *command], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
