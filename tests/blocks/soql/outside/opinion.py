"""The outside parser as one long-running process, and both parsers' trees brought to one plain form."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from blocks.salesforce.soql import ast
from blocks.salesforce.soql.render import value

PACKAGE = Path("node_modules/@jetstreamapp/soql-parser-js/package.json")
Plain = Any  # nested tuples, texts and numbers


def folder() -> Path | None:
    """Where the outside parser is installed: the folder LEAK_RESPONSE_CLIENTS names, if it holds it."""
    named = os.environ.get("LEAK_RESPONSE_CLIENTS")
    found = named is not None and (Path(named) / PACKAGE).is_file() and shutil.which("node") is not None
    return Path(named) if named and found else None


class NoTree(Exception):
    """The outside parser let through what cannot be a tree: `A = 1 AND B = 2 OR C = 3`, `A = 1 B = 2`."""


class Outside:
    """The outside parser. Use it as a context manager."""

    def __init__(self, clients: Path) -> None:
        worker = Path(__file__).with_name("worker.cjs")
        self._process = subprocess.Popen(
            [shutil.which("node") or "node", str(worker), str(clients.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Outside:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)

    def parse(self, text: str) -> Plain | None:
        """The statement in plain form; None when it was refused."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        return theirs(told["tree"]) if "tree" in told else None


# --- our tree ------------------------------------------------------------------------------------


def ours(query: ast.Query) -> Plain:
    """Our tree in plain form."""
    return {
        "object": query.object.casefold(),
        "alias": (query.alias or "").casefold(),
        "fields": [_item(item) for item in query.fields],
        "where": _condition(query.where),
        "group": [_operand(item) for item in query.group_by.items] if query.group_by else [],
        "group kind": (query.group_by.kind or "") if query.group_by else "",
        "having": _condition(query.having),
        "order": [
            (_operand(o.by), "DESC" if o.descending else "", _nulls(o.nulls_last)) for o in query.order_by
        ],
        "limit": _count(query.limit),
        "offset": _count(query.offset),
    }


def _nulls(last: bool | None) -> str:
    return "" if last is None else "LAST" if last else "FIRST"


def _count(count: int | ast.Bind | None) -> Plain:
    return value(count) if isinstance(count, ast.Bind) else count


def _item(item: ast.SelectItem) -> Plain:
    match item:
        case ast.SubQuery(query):
            return ours(query)
        case ast.Fields(kind):
            return f"fields({kind})".casefold()
        case ast.TypeOf(field, whens, otherwise):
            parts = [(when.object.casefold(), [_operand(f) for f in when.fields]) for when in whens]
            if otherwise:
                parts.append(("", [_operand(f) for f in otherwise]))
            return ("typeof", ".".join(field).casefold(), parts)
    return (_operand(item), (item.alias or "").casefold())


def _operand(operand: ast.Argument) -> str:
    match operand:
        case ast.FieldRef(path):
            return ".".join(path).casefold()
        case ast.Function(name, args):
            return f"{name}({','.join(_operand(arg) for arg in args)})".casefold()
    return value(operand).casefold()


def _condition(condition: ast.Condition | None) -> Plain:
    match condition:
        case None:
            return None
        case ast.And(items):
            return ("and", [_condition(item) for item in items])
        case ast.Or(items):
            return ("or", [_condition(item) for item in items])
        case ast.Not(item):
            return ("not", _condition(item))
        case ast.SemiJoin(field, negated, query):
            return (_operand(field), "not in" if negated else "in", ours(query))
        case ast.Comparison(left, op, ast.List(values)):
            return (_operand(left), op.casefold(), [value(v).casefold() for v in values])
        case ast.Comparison(left, op, right):
            return (_operand(left), op.casefold(), value(right).casefold())
    raise AssertionError(condition)


# --- their tree ----------------------------------------------------------------------------------


def theirs(tree: Mapping[str, Any]) -> Plain:
    """The outside parser's tree in plain form."""
    group = tree.get("groupBy") or []
    group = group if isinstance(group, list) else [group]
    kind, items = _grouped(group)
    order = tree.get("orderBy") or []
    return {
        "object": str(tree.get("sObject") or tree.get("relationshipName")).casefold(),
        "alias": str(tree.get("sObjectAlias") or "").casefold(),
        "fields": [_their_item(field) for field in tree.get("fields") or []],
        "where": _folded(tree.get("where")),
        "group": items,
        "group kind": kind,
        "having": _folded(tree.get("having")),
        "order": [_ordered(item) for item in (order if isinstance(order, list) else [order])],
        "limit": tree.get("limit"),
        "offset": tree.get("offset"),
    }


def _grouped(items: list[Mapping[str, Any]]) -> tuple[str, list[str]]:
    if (
        len(items) == 1
        and (call := items[0].get("fn"))
        and call["functionName"].upper() in ("ROLLUP", "CUBE")
    ):
        return call["functionName"].upper(), [_argument(one) for one in call["parameters"]]
    return "", [_their_operand(item) for item in items]


def _ordered(item: Mapping[str, Any]) -> Plain:
    way = str(item.get("order") or "")
    return (_their_operand(item), "DESC" if way == "DESC" else "", str(item.get("nulls") or ""))


def _their_item(item: Mapping[str, Any]) -> Plain:
    alias = str(item.get("alias") or "").casefold()
    match item["type"]:
        case "FieldSubquery":
            return theirs(item["subquery"])
        case "FieldTypeof":
            parts = [
                ((part.get("objectType") or "").casefold(), [name.casefold() for name in part["fieldList"]])
                for part in item["conditions"]
            ]
            return ("typeof", item["field"].casefold(), parts)
        case "FieldFunctionExpression":
            called = _call(item)
            return called if called.startswith("fields(") else (called, alias)
        case "FieldRelationship":
            return (".".join([*item["relationships"], item["field"]]).casefold(), alias)
    return (str(item["field"]).casefold(), alias)


def _their_operand(item: Mapping[str, Any]) -> str:
    return _call(item["fn"]) if item.get("fn") else str(item["field"]).casefold()


def _call(call: Mapping[str, Any]) -> str:
    name = call.get("functionName") or call.get("fn")
    return f"{name}({','.join(_argument(one) for one in call.get('parameters') or [])})".casefold()


def _argument(argument: Any) -> str:
    return _call(argument) if isinstance(argument, Mapping) else str(argument).casefold()


def _folded(chain: Mapping[str, Any] | None) -> Plain:
    """Their conditions are a chain with counted brackets; ours a tree."""
    if not chain:
        return None
    tokens = list(_tokens(chain))
    tree, rest = _either(tokens)
    if rest:
        raise NoTree(rest)
    return tree


def _tokens(link: Mapping[str, Any] | None) -> Iterator[Plain]:
    while link:
        left = link.get("left")
        if left is None:
            pass
        elif "operator" in left:
            yield from "(" * (left.get("openParen") or 0)
            yield _comparison(left)
            yield from ")" * (left.get("closeParen") or 0)
        else:
            yield from "(" * (left.get("openParen") or 0)
        if "operator" in link:
            yield str(link["operator"]).casefold()
        link = link.get("right")


def _comparison(leaf: Mapping[str, Any]) -> Plain:
    operator = {"<>": "!="}.get(leaf["operator"], leaf["operator"]).casefold()
    operand = _their_operand(leaf)
    if leaf.get("valueQuery"):
        return (operand, operator, theirs(leaf["valueQuery"]))
    right = leaf.get("value")
    if isinstance(right, list):
        return (operand, operator, [str(one).casefold() for one in right])
    return (operand, operator, str(right).casefold())


def _either(tokens: list[Plain]) -> tuple[Plain, list[Plain]]:
    items, operator = [], ""
    tree, tokens = _one(tokens)
    items.append(tree)
    while tokens and tokens[0] in ("and", "or"):
        if operator not in ("", tokens[0]):
            raise NoTree("AND and OR without brackets")
        operator = tokens[0]
        tree, tokens = _one(tokens[1:])
        items.append(tree)
    return (items[0] if len(items) == 1 else (operator, items)), tokens


def _one(tokens: list[Plain]) -> tuple[Plain, list[Plain]]:
    if not tokens:
        raise NoTree("nothing after an operator")
    if tokens[0] == "not":
        tree, rest = _one(tokens[1:])
        return ("not", tree), rest
    if tokens[0] == "(":
        tree, rest = _either(tokens[1:])
        if not rest or rest[0] != ")":
            raise NoTree(rest)
        return tree, rest[1:]
    return tokens[0], tokens[1:]
