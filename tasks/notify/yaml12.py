"""YAML as people expect it: `NO` is Norway, not false; times stay text; a key given twice is an error."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from blocks.errors import BadInput


class Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's booleans and without its guess at dates."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def _mapping(loader: Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise BadInput(
                f"Line {key_node.start_mark.line + 1}: a key is not plain text.", "Use simple keys."
            )
        if key in seen:
            raise BadInput(
                f"Line {key_node.start_mark.line + 1}: {key!r} is given twice.", "Keep the one that is meant."
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(text: str, name: str) -> Any:
    """Parse one YAML document; BadInput names the file, the line and what is wrong."""
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a SafeLoader underneath
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadInput(f"{name}{line} is not valid YAML: {error.problem}.", "Correct that line.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadInput(f"{name} is not valid YAML ({type(error).__name__}).", "Correct the file.") from None
    except BadInput as error:
        raise BadInput(f"{name}: {error.problem}", error.fix) from None
