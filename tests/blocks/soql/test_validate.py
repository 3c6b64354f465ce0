"""What reads well and is refused all the same."""

import pytest

from blocks.salesforce.soql import SoqlInvalid, parse, validate

REFUSED = (
    ("SELECT Id FROM A WHERE Id IN :ids", "Bind variables only allowed in Apex code"),
    ("SELECT Id FROM A WHERE X IN (:a, 'b')", "Bind variables"),
    ("SELECT Id FROM A LIMIT :n", "Bind variables"),
    ("SELECT Id FROM A WHERE Id IN (SELECT B FROM C WHERE D = :d)", "Bind variables"),
    ("SELECT Id FROM A ALL ROWS", "ALL ROWS"),
    ("SELECT COUNT(), Id FROM A", "only element"),
    ("SELECT COUNT() FROM A ORDER BY Id", "ORDER BY"),
    ("SELECT Name FROM A HAVING COUNT(Id) > 1", "GROUP BY"),
    ("SELECT Id FROM A WHERE COUNT(Id) > 1", "HAVING"),
    ("SELECT Id x FROM A", "only aggregate expressions use field aliasing"),
    ("SELECT Id, Name, id FROM A", "duplicate field selected"),
    ("SELECT A.Id, x.Id FROM A x", "duplicate field selected"),
    ("SELECT MAX(B) x, MIN(B) x FROM A", "duplicate alias"),
    ("SELECT MAX(B), (SELECT Id FROM Cs) FROM A", "grouped"),
    ("SELECT Id, (SELECT COUNT() FROM Cs) FROM A", "aggregate"),
    ("SELECT MAX(B) FROM A LIMIT 1", "LIMIT"),
    ("SELECT FIELDS(ALL) FROM A", "LIMIT of at most 200"),
    ("SELECT FIELDS(ALL) FROM A LIMIT 201", "LIMIT of at most 200"),
    ("SELECT FIELDS(CUSTOM) FROM A", "LIMIT of at most 200"),
    ("SELECT Id FROM A OFFSET 2001", "Maximum SOQL offset"),
    ("SELECT Id FROM A WHERE B IN (SELECT C FROM D) OR E = 1", "'OR' operator"),
    ("SELECT Id FROM A WHERE B IN (SELECT C FROM D WHERE E IN (SELECT F FROM G))", "Nesting"),
    (
        "SELECT Id FROM A WHERE B IN (SELECT C FROM D) AND B IN (SELECT C FROM E) AND B IN (SELECT C FROM F)",
        "maximum 2",
    ),
    ("SELECT Id FROM A WHERE B IN (SELECT C FROM D LIMIT 5)", "LIMIT"),
    ("SELECT Id FROM A WHERE B IN (SELECT C, E FROM D)", "one field"),
    ("SELECT X, COUNT(Id) FROM A GROUP BY CUBE(B, C, D, X)", "at most 3"),
    (
        "SELECT Id,(SELECT Id,(SELECT Id,(SELECT Id,(SELECT Id,(SELECT Id FROM F) FROM E) FROM D) FROM C) "
        "FROM B) FROM A",
        "5 levels",
    ),
    ("SELECT Id" + ", (SELECT Id FROM Bs)" * 21 + " FROM A", "maximum 20"),
)

ALLOWED = (
    "SELECT FIELDS(STANDARD) FROM A",
    "SELECT FIELDS(ALL) FROM A WHERE Id = '001000000000000AAA'",
    "SELECT FIELDS(ALL) FROM A LIMIT 200",
    "SELECT COUNT() FROM A LIMIT 5",
    "SELECT Name n, COUNT(Id) FROM A GROUP BY Name LIMIT 5",
    "SELECT Id FROM A OFFSET 2000",
    "SELECT Id FROM A WHERE B IN (SELECT C FROM D) AND (X = 1 OR Y = 2)",
)


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(SoqlInvalid, match=reason):
        validate(parse(text))


@pytest.mark.parametrize("text", ALLOWED)
def test_allowed(text: str) -> None:
    validate(parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT COUNT(Id) FROM A",
        "SELECT Name FROM A GROUP BY Name",
        "SELECT Id FROM A OFFSET 5",
        "SELECT Id, (SELECT Id FROM Bs) FROM A",
        "SELECT TYPEOF What WHEN A THEN B END FROM Task",
    ],
)
def test_bulk_refuses_more(text: str) -> None:
    validate(parse(text))
    with pytest.raises(SoqlInvalid) as refused:
        validate(parse(text), bulk=True)
    assert refused.value.code == "FEATURENOTENABLED"


def test_an_object_that_allows_it_may_be_paged_by_offset() -> None:
    validate(parse("SELECT UserId FROM OauthToken LIMIT 2500 OFFSET 2500"), max_offset=None)
