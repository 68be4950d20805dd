"""`scribebox openapi`: the OpenAPI document, without a running box."""

import argparse
import json

from appliance.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    """Declare no options: the document is the same everywhere."""


def run(_: argparse.Namespace) -> int:
    """Print the document."""
    from api.app import create

    schema = create(Settings(), "http://127.0.0.1:8080").openapi_schema
    print(json.dumps(schema.to_schema(), indent=2, ensure_ascii=False))
    return 0
