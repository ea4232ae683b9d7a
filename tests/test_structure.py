"""How the source is built: imports run one way, modules are short, scripts are thin, imports are cheap."""

import ast
import sys
from pathlib import Path

import pytest
from small import ROOT, python

PACKAGE = ROOT / "seqmodels"
MODULES = sorted(PACKAGE.rglob("*.py"))
LEVELS = (
    ("__version__", "errors"),
    ("config",),
    ("cells",),
    ("engines",),
    ("layers",),
    ("models", "data", "training"),
    ("tasks",),
    ("sweeps",),
    ("analysis", "interop"),
    ("benchmarks",),
    ("commands",),
    ("cli",),
)
"""The parts of the package, lowest first. A part imports from lower levels and from itself only."""

LEVEL = {part: level for level, parts in enumerate(LEVELS) for part in parts}
PUBLIC = {"cells", "engines", "layers"}
"""What `import seqmodels` gives."""

LONGEST = 350
HEAVY = ("grain", "matplotlib", "pydantic", "rich", "flax", "optax", "torch", "tensorboardX", "optuna")


def imported(path: Path) -> set[str]:
    """The modules of this package that a file imports, wherever in it, as "seqmodels.part.module"."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import; name the package"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "seqmodels"}


def part_of(name: str) -> str:
    return name.split(".")[1]


def name_of(path: Path) -> str:
    return ".".join(("seqmodels", *path.relative_to(PACKAGE).with_suffix("").parts))


def faults(name: str, modules: set[str]) -> list[str]:
    """What a module of this name may not import of these."""
    part = part_of(name)
    return [
        f"{name} imports {module}"
        for module in sorted(modules)
        if module != "seqmodels"
        and part_of(module) != part
        and not LEVEL.get(part_of(module), len(LEVELS)) < LEVEL[part]
    ]


def test_every_part_has_its_level():
    parts = {part_of(name_of(path)) for path in MODULES} - {"__init__"}
    assert parts <= set(LEVEL), "say in LEVELS where a new part belongs"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    modules = imported(path)
    if path == PACKAGE / "__init__.py":
        assert {part_of(module) for module in modules} <= PUBLIC
        return
    assert not [module for module in modules if module == "seqmodels"], "import the part that is meant"
    assert faults(name_of(path), modules) == []


@pytest.mark.parametrize(
    ("name", "module", "allowed"),
    [
        ("seqmodels.cells.lstm", "seqmodels.cells.base.Cell", True),
        ("seqmodels.cells.lstm", "seqmodels.engines.unroll", False),
        ("seqmodels.engines.scan", "seqmodels.cells.base.Cell", True),
        ("seqmodels.data.text", "seqmodels.training.loop.Loop", False),
        ("seqmodels.training.loop", "seqmodels.models.LanguageModel", False),
        ("seqmodels.tasks.forecasting", "seqmodels.training.loop.Loop", True),
        ("seqmodels.tasks.forecasting", "seqmodels.analysis.curves", False),
        ("seqmodels.analysis.curves", "seqmodels.tasks.TASKS", True),
        ("seqmodels.analysis.curves", "seqmodels.commands.train", False),
        ("seqmodels.config.schema", "seqmodels.config.toml.write", True),
        ("seqmodels.errors", "seqmodels.config.config", False),
        ("seqmodels.cells.lstm", "seqmodels.unheard_of", False),
    ],
)
def test_the_rule_itself(name, module, allowed):
    assert (faults(name, {module}) == []) == allowed


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_scripts_only_call_the_command_line(path):
    doc, call, guard = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(doc, ast.Expr)
    assert ast.unparse(call) == "from seqmodels.cli import script"
    assert ast.unparse(guard) == f"if __name__ == '__main__':\n    script('{path.stem}')"


def test_modules_are_short():
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_module_says_what_it_is():
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_importing_the_package_is_cheap():
    done = python("-c", "import sys, seqmodels; print(*{name.split('.')[0] for name in sys.modules})")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & set(HEAVY) == set()


def test_a_name_of_the_standard_library_is_no_script():
    assert not {path.stem for path in (ROOT / "scripts").glob("*.py")} & set(sys.stdlib_module_names)


def test_every_folder_is_a_package_so_that_a_wheel_holds_it():
    assert {path.parent for path in MODULES if not (path.parent / "__init__.py").exists()} == set()
