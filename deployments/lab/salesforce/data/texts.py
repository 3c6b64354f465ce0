"""What customers and agents write: orders, returns, complaints, and too often card numbers, IBANs, passwords.

Card numbers pass the Luhn check and IBANs the modulo-97 check, so that a scan that verifies check digits
finds them. There are no AWS keys and no Vault tokens here: scenarios plant those.
"""

from __future__ import annotations

import numpy as np

from deployments.lab.salesforce.data.columns import Objects, objects

CASE_SUBJECTS = (
    ("Order {order} has not arrived", "Order", "Late delivery"),
    ("Where is my parcel? Order {order}", "Order", "Late delivery"),
    ("Return of order {order}", "Return", "Wrong item"),
    ("Damaged item in order {order}", "Return", "Damaged"),
    ("Refund for order {order} still missing", "Payment", "Billing"),
    ("Card charged twice, order {order}", "Payment", "Billing"),
    ("Cannot log in to my account", "Technical", "Account access"),
    ("Please change my e-mail address", "Technical", "Account access"),
    ("Points missing after purchase {order}", "Loyalty", "Other"),
    ("Unfriendly service in the store", "Complaint", "Other"),
)
OPENINGS = (
    "Hello,", "Dear team,", "Hi there,", "Good morning,", "Guten Tag,", "Bonjour,", "To whom it may concern,",
    "Hi, this is urgent.",
)  # fmt: skip
BODIES = (
    "I ordered two weeks ago and the tracking has not moved since.",
    "The box was open and one of the chairs has a broken leg.",
    "I sent everything back on Monday but the money is not on my account.",
    "Somebody at the store promised a replacement within three days.",
    "The size is wrong, I would like to exchange it for the next one.",
    "My loyalty points from the last purchase do not show up.",
    "The website tells me my password is wrong although I just changed it.",
    "You delivered to my neighbour at number 14 without telling me.",
    "The invoice shows an old address, please correct it.",
    "I was charged twice for the same purchase.",
    "The lamp flickers, I think it is a fault in the transformer.",
    "I moved last month, please send the parcel to the new address.",
)
DETAILS = (
    "You can reach me at {phone} after 6 pm.",
    "Please answer to {email}.",
    "My number is {phone}, my date of birth is {born} if you need to verify me.",
    "Card used: {card}, expires 09/28.",
    "Please refund to IBAN {iban}.",
    "My login is {email} and the password {password}, please check it yourself.",
    "I was born on {born}.",
    "The card number is {card} and the name on it is {name}.",
)
CLOSINGS = (
    "Thanks, {name}",
    "Kind regards\n{name}",
    "{name}",
    "Best, {name}",
    "Mit freundlichen Grüßen\n{name}",
)
COMMENTS = (
    "Called the customer at {phone}, no answer.",
    "Customer confirmed the new address, birth date checked ({born}).",
    "Refund approved, waiting for finance.",
    "Sent a replacement, tracking to follow.",
    "Asked the warehouse for a photo of the label.",
    "Customer read the card number over the phone: {card}. Told them not to.",
    "Escalated to the store manager.",
    "Duplicate of an older case, keeping this one open.",
)
REPLIES = (
    "Thank you for your message. We are looking into it and will answer within two working days.",
    "Your return has been registered. The refund takes three to five days.",
    "We are sorry for the trouble. A replacement is on its way.",
    "Please send us a photo of the damage so that we can help you faster.",
)
INTERNAL = (
    "Till 3 does not print receipts.", "Price labels in aisle 7 are out of date.",
    "Cold chain alarm in the back room, cleared.", "Scanner needs a new battery.",
)  # fmt: skip
TASKS = (
    "Call back about the return", "Send voucher", "Check delivery address", "Follow up on complaint",
    "Confirm refund", "Ask for feedback",
)  # fmt: skip
_WORDS = ("Sommer", "dragon", "Welcome", "liverpool", "Qwertz", "sunshine", "Passwort", "bluecar")


def luhn(payload: str) -> str:
    """The payload with its Luhn check digit (ISO/IEC 7812-1)."""
    total = 0
    for position, char in enumerate(reversed(payload)):
        digit = int(char) * (2 if position % 2 == 0 else 1)
        total += digit - 9 if digit > 9 else digit
    return f"{payload}{-total % 10}"


def iban(country: str, account: str) -> str:
    """The account number with country and check digits (ISO 13616)."""
    digits = "".join(str(int(char, 36)) for char in f"{account}{country}00")
    return f"{country}{98 - int(digits) % 97:02d}{account}"


def cards(rng: np.random.Generator, count: int) -> Objects:
    """Card numbers of the usual brands, in the spellings people use."""
    made = []
    for number in rng.integers(0, 10**9, count).tolist():
        card = luhn(f"{('4', '51')[number % 2]}{number:0{14 if number % 2 == 0 else 13}d}")
        grouped = " ".join(card[i : i + 4] for i in range(0, 16, 4))
        made.append((card, grouped, grouped.replace(" ", "-"))[number % 3])
    return objects(made)


def ibans(rng: np.random.Generator, count: int) -> Objects:
    """German, Dutch and British IBANs, with and without spaces."""
    made = []
    for number in rng.integers(0, 10**9, count).tolist():
        country, account = (
            ("DE", f"37040044{number:010d}"),
            ("NL", f"ABNA{number:010d}"),
            ("GB", f"NWBK601613{number % 10**8:08d}"),
        )[number % 3]
        text = iban(country, account)
        made.append(text if number % 2 else " ".join(text[i : i + 4] for i in range(0, len(text), 4)))
    return objects(made)


def passwords(rng: np.random.Generator, count: int) -> Objects:
    return objects(
        f"{_WORDS[n % len(_WORDS)]}{n % 10_000:04d}!" for n in rng.integers(0, 10**7, count).tolist()
    )
