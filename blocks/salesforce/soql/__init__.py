"""SOQL, read and written by one grammar: parse, render, validate, pin, and ask which fields a query touches."""

from blocks.salesforce.soql.ast import Query
from blocks.salesforce.soql.errors import SoqlInvalid, SoqlSyntaxError
from blocks.salesforce.soql.parse import parse
from blocks.salesforce.soql.render import render

__all__ = ["Query", "SoqlInvalid", "SoqlSyntaxError", "parse", "render"]
