"""Who is who: the rules by which the lab's records belong to people. They are the ground truth.

The generator builds the population so that these rules give exactly the partition in `_person`; the tests
prove it with a resolver of their own. Any resolver that follows them gets it exactly too.

**Records about a person.** Every Contact, Lead, Individual, Loyalty_Member__c and User is about one person
(technical users too: nothing in a User row says reliably that nobody stands behind it). A Case is, when it
has a ContactId, a SuppliedEmail, a SuppliedPhone or a SuppliedName. Task, Order, Payment_Token__c,
EmailMessage, CaseComment, OrderItem and ContentVersion are when rule 4 or 5 links them to one. All else
(Account, a Case from a shop's till, an order of a business without contact) is about nobody and is not in
`_person`.

**Two records are the same person's** if and only if they are connected, through any number of records of
the whole population, by:

1. *E-mail*: the same normalised address in Contact.Email, Lead.Email, Loyalty_Member__c.Email__c,
   Case.SuppliedEmail, User.Email or EmailMessage.FromAddress. Normalised: white space trimmed, lower case,
   a tag from "+" to "@" removed. An address whose local part is in `ROLE_LOCAL_PARTS` identifies nobody.
2. *Phone*: the same E.164 number in Contact.Phone/MobilePhone, Lead.Phone/MobilePhone,
   Loyalty_Member__c.Mobile__c, Case.SuppliedPhone or User.Phone/MobilePhone. It is parsed with the record's
   own country (Contact.Mailing*, Lead and User address, Loyalty Country__c, Case.Web_Country__c); a number
   without "+" in a record without recognisable country is unreadable. Only valid numbers count.
   Contact.HomePhone and Account.Phone never identify: families and firms share them. A number identifies
   nobody when it is
   - a placeholder: its digits are one digit repeated, or a run such as 1234567890 (`is_placeholder`), or
   - shared: the Contact, Lead, Loyalty_Member__c, Case and User records that carry it show more than three
     different identifying e-mail addresses and more than three different last names (accents and case
     ignored; for a Case the last word of SuppliedName).
3. *Individual*: the same IndividualId (Contact, Lead), and the Individual itself.
4. *Contact*: Case.ContactId, Loyalty_Member__c.Contact__c, Payment_Token__c.Contact__c,
   Order.BillToContactId, User.ContactId, Task.WhoId (a Contact or a Lead).
5. *Parent*: EmailMessage.ParentId and CaseComment.ParentId (the Case), OrderItem.OrderId,
   ContentVersion.FirstPublishLocationId (a Contact or a Case). An EmailMessage without a Case belongs to
   its FromAddress by rule 1.

Names, birth dates, account membership and what free text says never connect records.

**Residence** is one code: ISO 3166-1 alpha-2, for the US with the state (US-CA), else "unknown". Each
Contact (Mailing*), Loyalty_Member__c (Country__c, State__c), Lead, Case (Web_Country__c) and User gives one
reading:

- rank 1: an address with country, and with state if the country is US. Codes (CountryCode, StateCode) count
  first, then the texts, matched without regard to case against names and codes (`places`);
- rank 2: an address in the US without a recognisable state: "US";
- rank 3: no country in the address: the country of its first identifying number by rule 2 (MobilePhone or
  Mobile__c before Phone), as the numbering plan tells it;
- rank 4: "unknown".

A person's residence is the reading with the lowest rank; among equals Contact before Loyalty_Member__c
before Lead before Case before User, then the latest SystemModstamp, then the lowest Id. Order addresses are
copies of the contact's and are not read.
"""

from __future__ import annotations

ROLE_LOCAL_PARTS = frozenset(
    {
        "accounting", "accounts", "admin", "billing", "contact", "customerservice", "donotreply",
        "do-not-reply", "enquiries", "hello", "help", "helpdesk", "hr", "info", "invoices", "kontakt",
        "mail", "marketing", "no-reply", "noreply", "office", "orders", "postmaster", "reception", "sales",
        "service", "shop", "support", "team", "webmaster",
    }
)  # fmt: skip

_RUN = "01234567890123456789"


def normal_email(text: str | None) -> str | None:
    """The identifying form of an address by rule 1; None when it identifies nobody."""
    local, at, domain = (text or "").strip().lower().partition("@")
    local = local.partition("+")[0]
    return f"{local}@{domain}" if at and local and domain and local not in ROLE_LOCAL_PARTS else None


def is_placeholder(digits: str) -> bool:
    """Whether a phone number's digits are what people type to get past a form."""
    return len(set(digits)) <= 1 or digits in _RUN
