"""How the API is described: the document, its problems, and what Litestar can't guess itself."""

from importlib.metadata import version

from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from api.problems import PROBLEM
from api.schemas import Problem


def document() -> OpenAPIConfig:
    """Return the configuration; the document is served without any third-party script."""
    scheme = SecurityScheme(type="http", scheme="bearer", description="a key, sb_live_…")
    return OpenAPIConfig(
        title="Scribebox",
        version=version("scribebox"),
        path="/schema",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        components=Components(security_schemes={"apiKey": scheme}),
    )


def refusal(meaning: str) -> ResponseSpec:
    """Return how the OpenAPI document shows a problem."""
    return ResponseSpec(Problem, description=meaning, media_type=PROBLEM, generate_examples=False)


def answer(kind: type | None, meaning: str, media_type: str = "application/json") -> ResponseSpec:
    """Return how the document shows an answer that Litestar can't guess."""
    return ResponseSpec(kind, description=meaning, media_type=media_type, generate_examples=False)
