"""Products, orders and order items."""

from __future__ import annotations

import numpy as np

from deployments.lab.salesforce.data.columns import Draw, Objects, objects
from deployments.lab.salesforce.data.crm import Contacts, Context
from deployments.lab.salesforce.data.population import where_some
from deployments.lab.salesforce.data.truth import NOBODY

_THINGS = ("Chair", "Lamp", "Rug", "Kettle", "Jacket", "Speaker", "Puzzle", "Planter", "Mug", "Blanket")
_STYLES = (
    "Oslo",
    "Kyoto",
    "Porto",
    "Maine",
    "Lund",
    "Fjord",
    "Prairie",
    "Siena",
    "Marfa",
    "Lisboa",
    "Reef",
    "Dune",
)
_FAMILIES = ("Home", "Garden", "Fashion", "Electronics", "Toys", "Food")
STATUSES = ("Activated", "Shipped", "Delivered", "Delivered", "Delivered", "Returned", "Cancelled")


def products(ctx: Context) -> tuple[Objects, Objects]:
    """The catalogue: ids and prices."""
    draw = Draw(ctx.seed, "products")
    name = objects(f"{style} {thing}" for style in _STYLES for thing in _THINGS)
    count = len(name)
    ids = ctx.load.write(
        "Product2",
        {
            "Name": name,
            "ProductCode": objects(f"SKU-{i:05d}" for i in range(count)),
            "StockKeepingUnit": objects(f"SKU-{i:05d}" for i in range(count)),
            "Family": draw.pick(_FAMILIES, count),
            "IsActive": draw.chance(0.95, count).astype(int),
        },
    )
    return ids, objects((draw.ints(30_000, count) / 100 + 2).round(2).tolist())


def orders(ctx: Context, known: Contacts, count: int, items: int) -> Objects:
    """Orders of contacts, a few of businesses without a contact, and their items. Returns order numbers."""
    draw = Draw(ctx.seed, "orders")
    row = draw.ints(len(known.ids), count)
    created = ctx.calendar.after(draw, known.created[row])
    row, created = row[np.argsort(created, kind="stable")], np.sort(created)
    named = draw.chance(0.97, count)
    contact = where_some(named, known.ids[row])
    billing = known.addresses.columns("Billing", row)
    kept = {name: where_some(named, column) for name, column in billing.items()}
    told = named & draw.chance(0.3, count)  # most ship to where the bill goes and leave it empty
    kept |= {n.replace("Billing", "Shipping"): where_some(told, column) for n, column in billing.items()}
    day = ctx.calendar.days[created]
    number = ctx.load.numbers("Order", "OrderNumber", count)
    ids = ctx.load.write(
        "Order",
        {
            "AccountId": known.account[row],
            "OrderNumber": number,
            "BillToContactId": contact,
            "ShipToContactId": contact,
            "EffectiveDate": day,
            "Status": draw.pick(STATUSES, count),
            "TotalAmount": (draw.ints(60_000, count) / 100 + 5).round(2),
            "Type": draw.pick(("Online", "Store", "Phone"), count, (7, 2, 1)),
            **kept,
            "OwnerId": draw.pick(ctx.owners, count),
        },
        created,
        ctx.calendar.after(draw, created),
    )
    person = np.where(named, known.person[row], NOBODY)
    ctx.truth.add("Order", ids, person)
    product, price = products(ctx)
    of_order, which = np.sort(draw.ints(count, items)), draw.ints(len(product), items)
    quantity = draw.ints(4, items) + 1
    unit = price[which].astype(float)
    item_ids = ctx.load.write(
        "OrderItem",
        {
            "OrderId": ids[of_order],
            "Product2Id": product[which],
            "OrderItemNumber": ctx.load.numbers("OrderItem", "OrderItemNumber", items),
            "Quantity": quantity.astype(float),
            "UnitPrice": unit,
            "TotalPrice": (unit * quantity).round(2),
        },
        created[of_order],
    )
    ctx.truth.add("OrderItem", item_ids, person[of_order])
    return number
