"""Configuration: a TOML file and the command line's overrides become frozen dataclasses, or errors that name the key.

A table is declared beside the noun it configures, with `config`; a task's own class holds the tables. Defaults stand
in the declarations and nowhere else. TOML has no null, so the word "none" stands for None wherever a key may hold None
and does not hold strings.
"""

from seqmodels.config.changes import changes, flat
from seqmodels.config.loading import ConfigError, config, dumps, load, override, read, validate
from seqmodels.config.paths import make_whole
from seqmodels.config.wording import help_text

__all__ = [
    "ConfigError",
    "changes",
    "config",
    "dumps",
    "flat",
    "help_text",
    "load",
    "make_whole",
    "override",
    "read",
    "validate",
]
