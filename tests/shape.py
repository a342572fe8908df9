"""The shape of the code, as a table, and the bounds that it keeps: run by `make check`.

Modules stay under 600 lines, functions within 60; `core` stays pure; time is read in one place; sentences name routes at the
doors that have them; there is no mock and
no skip in the tests, but for languages that are not installed. What this refuses is refused because someone would otherwise have to look for it.
"""

import ast
import re
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tidings"
MAX_MODULE_LINES = 600
MAX_FUNCTION_LINES = 60
CLOCKS = {
    SOURCE / "clock.py",
    *(SOURCE / "client").glob("*.py"),
    *(SOURCE / "bench").glob("*.py"),
    *(SOURCE / "cli").glob("demo*.py"),
}
DOORS = {"api", "portal", "cli", "client", "bench"}  # who may name a route: others are read at every door


def functions(tree: ast.AST) -> list[tuple[str, int]]:
    """Return the name and length of every function."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(node.name, (node.end_lineno or 0) - node.lineno + 1) for node in ast.walk(tree) if isinstance(node, kinds)]


def _names_a_route(node: ast.AST) -> bool:
    """Whether it is a text with a method and a path of the API."""
    return isinstance(node, ast.Constant) and bool(re.search(r"\b[A-Z]{3,6} /api/", str(node.value)))


def main() -> int:
    """Print the table and what is out of bounds."""
    problems: list[str] = []
    modules, lengths = [], []
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text()
        name = path.relative_to(ROOT)
        modules.append(text.count("\n"))
        if modules[-1] > MAX_MODULE_LINES:
            problems.append(f"{name} has {modules[-1]} lines")
        tree = ast.parse(text)
        lengths += [length for _, length in functions(tree)]
        long = [(function, length) for function, length in functions(tree) if length > MAX_FUNCTION_LINES]
        problems += [f"{name}: {function} has {length} lines" for function, length in long]
        if "core" in path.parts and any(isinstance(node, ast.Await) for node in ast.walk(tree)):
            problems.append(f"{name} waits for something")
        if path not in CLOCKS and re.search(r"datetime\.now|time\.time\(", text):
            problems.append(f"{name} reads a clock of its own")
        if {"api", "portal"} & set(path.parts) and re.search(r"\.(connection|transaction|snapshot)\(", text):
            problems.append(f"{name} asks the database itself, which operations do")
        if not DOORS & set(path.parts) and any(_names_a_route(node) for node in ast.walk(tree)):
            problems.append(f"{name} tells somebody a route, which other doors do not have")
        # A file of configuration names variables for secrets, which the command that applies it looks up.
        if path.name not in {"config.py", "configured.py", "running.py", "apply.py"} and re.search(r"environ\b", text):
            problems.append(f"{name} reads the environment")
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        # Code shown for four languages, and programs that read units and alerts: nothing else here needs them.
        if path.name in {"test_receiver_code.py", "test_deploy.py"}:
            text = text.replace("pytest.skip", "", 1)
        if re.search(r"\bMock\(|\bpatch\(|monkeypatch|pytest\.skip|xfail|mark\.skip", text):
            problems.append(f"{path.relative_to(ROOT)} mocks or skips")
    ordered = sorted(lengths)
    print(f"modules: {len(modules)}, median {statistics.median(modules):.0f} lines, longest {max(modules)}")
    print(
        f"functions: {len(lengths)}, median {statistics.median(lengths):.0f} lines, "
        f"p90 {ordered[len(ordered) * 9 // 10]}, longest {ordered[-1]}"
    )
    for problem in problems:
        print(f"shape: {problem}", file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
