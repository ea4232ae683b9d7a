"""How pictures of runs are written."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_png(picture: "Figure", path: Path) -> None:
    """Writes a picture; a file of that name is replaced whole. The same picture gives the same bytes.

    Raises:
      OSError: if it cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    picture.savefig(partial, format="png", metadata={"Software": None})
    os.replace(partial, path)
