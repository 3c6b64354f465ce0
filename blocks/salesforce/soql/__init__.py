"""SOQL, read and written by one grammar: parse, render, validate, pin, ask which fields a query touches."""

from blocks.salesforce.soql.ast import Query
from blocks.salesforce.soql.dates import date_range, day_span
from blocks.salesforce.soql.errors import SoqlInvalid, SoqlSyntaxError
from blocks.salesforce.soql.parse import parse
from blocks.salesforce.soql.pin import created_before, narrowed, pin, selecting, unlimited
from blocks.salesforce.soql.render import render
from blocks.salesforce.soql.uses import (
    FieldUse,
    filter_fields,
    objects_filtered,
    order_fields,
    returned_fields,
)
from blocks.salesforce.soql.validate import validate

__all__ = [
    "FieldUse",
    "Query",
    "SoqlInvalid",
    "SoqlSyntaxError",
    "created_before",
    "date_range",
    "day_span",
    "filter_fields",
    "narrowed",
    "objects_filtered",
    "order_fields",
    "parse",
    "pin",
    "render",
    "returned_fields",
    "selecting",
    "unlimited",
    "validate",
]
