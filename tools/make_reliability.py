"""Put what the suites of `make torture` measured into docs/reliability.md, between the marks of each suite.

A suite that did not run keeps the figures that stand there.
"""

import re
import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.torture import REPORTS, Report  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"


def table(report: Report) -> str:
    """Return a report as Markdown."""
    rows = [f"| {what} | {figure} |" for what, figure in report.figures]
    return "\n".join([f"Measured on {report.at} ({report.machine}).", "", "| | |", "|---|---|", *rows])


def placed(page: str, report: Report) -> str:
    """Return the page with the report between `<!-- figures: SUITE -->` and `<!-- end -->`.

    Raises:
        SystemExit: The page has no such marks.
    """
    marks = re.compile(rf"(<!-- figures: {re.escape(report.suite)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not marks.search(page):
        raise SystemExit(f"docs/reliability.md has no marks for the suite {report.suite!r}.")
    return marks.sub(lambda match: f"{match[1]}{table(report)}\n{match[2]}", page)


def main() -> None:
    """Place every report."""
    page = PAGE.read_text()
    for path in sorted(REPORTS.glob("*.json")):
        page = placed(page, msgspec.json.decode(path.read_bytes(), type=Report))
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
