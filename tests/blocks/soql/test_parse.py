"""Statements that real clients send are read; what is not SOQL is refused, with its place."""

import time
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from blocks.salesforce.soql import SoqlSyntaxError, ast, parse, render

GOOD = (
    "SELECT Id FROM Account",
    "select id from account",
    "SELECT\n  Id,\n\tName\r\nFROM Account",
    "SELECT Account.Id, Account.Owner.Name FROM Account WHERE Account.Name = 'x'",
    "SELECT a.Id, a.Owner.Profile.Name FROM Account a WHERE a.Name != null",
    "SELECT Id FROM Account AS acc",
    "SELECT COUNT() FROM Contact",
    "SELECT COUNT(Id) total, MAX(CreatedDate) FROM Case",
    "SELECT count_distinct(Email) FROM Contact",
    "SELECT Id FROM User ORDER BY LastLoginDate DESC NULLS LAST LIMIT 20",
    "SELECT Id FROM Case WHERE CreatedDate > 2026-01-01T00:00:00+00:00",
    "SELECT Id FROM Case WHERE CreatedDate > 2026-01-01T00:00:00.000Z AND D < 2026-01-01T00:00:00+0200",
    "SELECT Id FROM Contact WHERE Birthdate = 1970-01-31",
    "SELECT Id FROM Contact WHERE LastName = 'O\\'Hara' OR LastName = 'a\\nb\\u00fc\\\\'",
    "SELECT Id FROM Contact WHERE LastName LIKE 'A\\_%\\%'",
    "SELECT Id FROM Product2 WHERE Tags__c INCLUDES ('a;b', 'c') AND Other__c EXCLUDES ('d')",
    "SELECT Id FROM Contact WHERE NOT Name = 'x'",
    "SELECT Id FROM Contact WHERE (NOT (Name = 'x' OR Name = 'y')) AND Email <> null",
    "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact WHERE Email != null)",
    "SELECT Id FROM Account WHERE Id NOT IN (SELECT AccountId FROM Contact) AND Name NOT IN ('a','b')",
    "SELECT Id, (SELECT Id, (SELECT Id FROM Cases) FROM Contacts ORDER BY Name LIMIT 5) FROM Account",
    "SELECT Id, (SELECT Id FROM Account.Contacts) FROM Account",
    "SELECT TYPEOF What WHEN Account THEN Phone, Name WHEN Case THEN Subject ELSE Name END FROM Task",
    "SELECT TYPEOF Owner WHEN User THEN Email END, Id FROM Task",
    "SELECT FIELDS(ALL) FROM Account LIMIT 200",
    "SELECT fields(standard), fields(custom) FROM Account LIMIT 200",
    "SELECT toLabel(Status), FORMAT(convertCurrency(Amount)) amt FROM Lead WHERE toLabel(Status) = 'New'",
    "SELECT CALENDAR_YEAR(CreatedDate), COUNT(Id) FROM Case GROUP BY CALENDAR_YEAR(CreatedDate)",
    "SELECT HOUR_IN_DAY(convertTimezone(CreatedDate)) h, COUNT(Id) FROM Case "
    "GROUP BY HOUR_IN_DAY(convertTimezone(CreatedDate))",
    "SELECT Id FROM Case WHERE DAY_ONLY(CreatedDate) = TODAY",
    "SELECT Status, Origin, GROUPING(Status) g, COUNT(Id) FROM Case GROUP BY ROLLUP(Status, Origin)",
    "SELECT Status, COUNT(Id) FROM Case GROUP BY CUBE(Status) HAVING COUNT(Id) > 1 ORDER BY COUNT(Id)",
    "SELECT Name n, COUNT(Id) count FROM Account GROUP BY Name",
    "SELECT Id FROM Account USING SCOPE mine WHERE Name = 'x'",
    "SELECT Id FROM Account WITH SECURITY_ENFORCED",
    "SELECT Id FROM Account WHERE Name = 'x' WITH USER_MODE LIMIT 5",
    "SELECT Id FROM Knowledge__kav WITH DATA CATEGORY Geo__c ABOVE_OR_BELOW usa__c AND P__c AT (a__c, b__c)",
    "SELECT Id FROM Account LIMIT 5 OFFSET 10 FOR VIEW",
    "SELECT Id FROM Account FOR REFERENCE UPDATE TRACKING",
    "SELECT Id FROM Account LIMIT 1 UPDATE VIEWSTAT FOR UPDATE",
    "SELECT Id FROM Account ALL ROWS",
    "SELECT Id FROM Account WHERE Id IN :ids AND OwnerId = :user.Id LIMIT :n",
    "SELECT Id FROM Opportunity WHERE Amount > USD5000 AND Amount < 1.5e6 AND X__c = -3",
    "SELECT Id FROM Account WHERE DISTANCE(Loc__c, GEOLOCATION(37.7, -122.4), 'mi') < 20 "
    "ORDER BY DISTANCE(Loc__c, GEOLOCATION(37.7, -122.4), 'mi')",
    "SELECT Id FROM Case WHERE CreatedDate = LAST_N_DAYS:30 AND ClosedDate >= last_n_fiscal_quarters:4",
    "SELECT Id FROM Case WHERE CreatedDate = N_DAYS_AGO:7 OR CreatedDate = THIS_FISCAL_YEAR",
    "SELECT c.Name, a.Name FROM Contact c, c.Account a WHERE a.Industry = 'Retail'",
    "SELECT Id FROM Account WHERE IsDeleted = FALSE AND Name = NULL",
)  # fmt: skip

NAMES_THAT_ARE_KEYWORDS = (
    "SELECT Id FROM Order",
    "SELECT Group.Name, GroupId FROM GroupMember",
    "SELECT Id FROM Group WHERE Type = 'Queue' GROUP BY Id",
    "SELECT Order.Account.Name, Limit__c, Offset, Scope, Count, End, When, View, By, All FROM OrderItem",
    "SELECT Like__c, In__c, Order FROM Case WHERE Includes__c = 1 AND Last = 2 ORDER BY First, Update DESC",
    "SELECT COUNT(Id) update FROM Case",
    "SELECT Today FROM Account WHERE Today = TODAY",
)

# text, position of what is wrong
BAD = (
    ("", 0),
    ("   ", 3),
    ("SELECT", 6),
    ("SELECT FROM Account", 7),
    ("SELECT * FROM Account", 7),
    ("SELECT Id FROM", 14),
    ("SELECT Id, FROM Account", 11),
    ("SELECT Id not FROM Account", 10),
    ("SELECT Id Name Email FROM Account", 15),
    ("SELECT Id FROM Account WHERE", 28),
    ("SELECT Id FROM Account WHERE Name = 'abc", 36),
    ("SELECT Id FROM Account WHERE Name = 'a\nb'", 36),
    ("SELECT Id FROM Account WHERE Name = 'a\\qb'", 38),
    ("SELECT Id FROM Account WHERE Name = \"a\"", 36),
    ("SELECT Id FROM Account WHERE Name = abc", 36),
    ("SELECT Id FROM Account WHERE Name == 'a'", 35),
    ("SELECT Id FROM Account WHERE Name = 'a' AND", 43),
    ("SELECT Id FROM Account WHERE A = 1 AND B = 2 OR C = 3", 45),
    ("SELECT Id FROM Account WHERE (A = 1", 35),
    ("SELECT Id FROM Account WHERE A = 1)", 34),
    ("SELECT Id FROM Account WHERE A IN ()", 35),
    ("SELECT Id FROM Account WHERE A IN 'x'", 34),
    ("SELECT Id FROM Account WHERE A BETWEEN 1 AND 2", 31),
    ("SELECT Id FROM Account JOIN Contact ON x = y", 28),
    ("SELECT Id FROM Account; DROP TABLE Account", 22),
    ("SELECT Id FROM Account -- comment", 23),
    ("SELECT Id FROM Account /* c */", 23),
    ("SELECT Id FROM Account LIMIT", 28),
    ("SELECT Id FROM Account LIMIT ten", 29),
    ("SELECT Id FROM Account LIMIT -1", 29),
    ("SELECT Id FROM Account LIMIT 5 garbage", 31),
    ("SELECT Id FROM Account OFFSET 5 LIMIT 5", 32),
    ("SELECT Id FROM Account ORDER BY Name WHERE Id = null", 37),
    ("SELECT Id FROM Account WHERE D = 2026-02-30", 33),
    ("SELECT Id FROM Account WHERE D = 2026-01-01T25:00:00Z", 33),
    ("SELECT Id FROM Account WHERE D = 2026-01-01T00:00:00", 33),
    ("SELECT Id FROM Account WHERE D = LAST_N_DAYS", 33),
    ("SELECT Id FROM Account WHERE D = LAST_N_DAYS:x", 33),
    ("SELECT FIELDS(SOME) FROM Account", 7),
    ("SELECT DISTINCT Id FROM Account, Contact", 33),
    ("SELECT a.b.COUNT(Id) FROM Account", 7),
    ("UPDATE Account SET Name = 'x'", 0),
    ("DELETE FROM Account", 0),
    ("SELECT Id FROM Account UNION SELECT Id FROM Contact", 29),
    ("SELECT TYPEOF What ELSE Name END FROM Task", 19),
)  # fmt: skip


@pytest.mark.parametrize("text", GOOD + NAMES_THAT_ARE_KEYWORDS)
def test_good_statements_are_read_and_written_back(text: str) -> None:
    query = parse(text)
    assert parse(render(query)) == query


@pytest.mark.parametrize(("text", "position"), BAD)
def test_bad_statements_are_refused_where_they_go_wrong(text: str, position: int) -> None:
    with pytest.raises(SoqlSyntaxError) as refused:
        parse(text)
    assert refused.value.position == position


def test_every_clause_lands_where_it_belongs() -> None:
    query = parse(
        "SELECT Id, Owner.Name, COUNT(Id) n FROM Case c USING SCOPE mine WHERE Status IN ('a', null) "
        "AND (NOT Subject LIKE 'x%') WITH USER_MODE GROUP BY Id, Owner.Name HAVING COUNT(Id) >= 2 "
        "ORDER BY Owner.Name DESC NULLS LAST, Id LIMIT 7 OFFSET 3 FOR VIEW UPDATE TRACKING ALL ROWS"
    )
    field = ast.FieldRef
    assert query == ast.Query(
        fields=(field(("Id",)), field(("Owner", "Name")), ast.Function("COUNT", (field(("Id",)),), "n")),
        object="Case",
        alias="c",
        scope="mine",
        where=ast.And(
            (
                ast.Comparison(field(("Status",)), ast.Op.IN, ast.List((ast.Text("a"), ast.Null()))),
                ast.Not(ast.Comparison(field(("Subject",)), ast.Op.LIKE, ast.Pattern("x%"))),
            )
        ),
        with_=ast.Mode("USER_MODE"),
        group_by=ast.GroupBy((field(("Id",)), field(("Owner", "Name")))),
        having=ast.Comparison(ast.Function("COUNT", (field(("Id",)),)), ast.Op.GE, ast.Number(Decimal(2))),
        order_by=(ast.OrderBy(field(("Owner", "Name")), True, True), ast.OrderBy(field(("Id",)))),
        limit=7,
        offset=3,
        for_=("VIEW",),
        update=("TRACKING",),
        all_rows=True,
    )


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("'a\\'b\\\\c\\n\\u00e9'", ast.Text("a'b\\c\né")),
        ("'\\ud83d\\ude00'", ast.Text("😀")),
        ("'\\_\\%'", ast.Text("_%")),
        ("-1.50", ast.Number(Decimal("-1.5"))),
        ("2026-01-02", ast.Date(date(2026, 1, 2))),
        ("2026-01-02T03:04:05Z", ast.DateTime(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))),
        ("2026-01-02T03:04:05.678+02:00", ast.DateTime(datetime(2026, 1, 2, 1, 4, 5, 678000, tzinfo=UTC))),
        ("2026-01-02T03:04:05-0530", ast.DateTime(datetime(2026, 1, 2, 8, 34, 5, tzinfo=UTC))),
        ("last_n_days : 5", ast.DateLiteral("LAST_N_DAYS", 5)),
        ("eur12.50", ast.Currency("EUR", Decimal("12.5"))),
        (":a.b [0]", ast.Bind("a.b[0]")),
    ],
)
def test_values_mean_what_salesforce_says(written: str, value: ast.Value) -> None:
    where = parse(f"SELECT Id FROM A WHERE x = {written}").where
    assert isinstance(where, ast.Comparison)
    assert where.value == value


def test_a_pattern_keeps_its_escapes_apart_from_its_wild_cards() -> None:
    where = parse(r"SELECT Id FROM A WHERE x LIKE '\_a_\\%\u005c'").where
    assert isinstance(where, ast.Comparison)
    assert where.value == ast.Pattern(r"\_a_\\%" + "\\\\")


def test_the_message_does_not_repeat_the_statement() -> None:
    with pytest.raises(SoqlSyntaxError) as refused:
        parse("SELECT Id FROM Contact WHERE Email = jane.roe@example.org")
    assert "jane" not in str(refused.value)
    assert refused.value.found == "jane"


def test_too_long_and_too_deep_are_refused_and_deep_enough_is_read() -> None:
    with pytest.raises(SoqlSyntaxError, match="100,000"):
        parse("SELECT Id FROM A WHERE x = '" + "a" * 100_000 + "'")
    with pytest.raises(SoqlSyntaxError, match="deeply"):
        parse("SELECT Id FROM A WHERE " + "(" * 5000 + "x = 1" + ")" * 5000)
    with pytest.raises(SoqlSyntaxError, match="deeply"):
        parse("SELECT Id FROM A WHERE " + "NOT " * 5000 + "x = 1")
    query = parse("SELECT Id FROM A WHERE " + "(NOT " * 150 + "x = 1" + ")" * 150)
    assert parse(render(query)) == query


def test_a_long_list_of_values_is_read_quickly() -> None:
    text = "SELECT Id FROM A WHERE Id IN (" + ", ".join(f"'{n:018d}'" for n in range(4000)) + ")"
    start = time.process_time()
    where = parse(text).where
    assert time.process_time() - start < 2
    assert isinstance(where, ast.Comparison) and isinstance(where.value, ast.List)
    assert len(where.value.items) == 4000


def test_an_ordinary_statement_takes_well_under_a_millisecond() -> None:
    parse(GOOD[0])
    start = time.process_time()
    for _ in range(10):
        for text in GOOD:
            parse(text)
    each = (time.process_time() - start) / (10 * len(GOOD))
    assert each < 0.002  # measured 0.15 ms; the margin is for a busy machine
