"""axe-core on a page: what of accessibility a program can judge. Fetched once into `.sdk/`."""

from pathlib import Path
from typing import Any

from sdk.kit import node_kit

VERSION = "4.14.1"
GRAVE = ("serious", "critical")
RUN = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.map(({id, impact, help, nodes}) => (
    {id, impact, help, nodes: nodes.map(({html, failureSummary}) => `${html}\\n${failureSummary}`)}
  ));
}"""


def source() -> str:
    """Return the script; skip the test where npm can't have it."""
    folder = Path(dict(node_kit("axe-core", VERSION).variables)["NODE_PATH"])
    return (folder / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def problems(page: Any, script: str) -> list[dict[str, Any]]:
    """Return what axe finds on a page, of any impact."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(script)  # by the debugger, which the policy does not bind
    return page.evaluate(RUN)


def told(found: list[dict[str, Any]]) -> str:
    """Return problems as a person reads them."""
    return "\n\n".join(
        f"{one['impact']}: {one['id']}: {one['help']}\n" + "\n".join(one["nodes"][:3])
        for one in found
    )
