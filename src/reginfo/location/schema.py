"""The tables of bindings and records, and the SQL view for operators."""

from __future__ import annotations

from ..ledger.sqlite import OwnTable, Schema
from . import keyring
from .claim import KIND, Claim
from .record import Record

CLAIM = """
CREATE TABLE claim (
    aor TEXT NOT NULL,
    "table" TEXT NOT NULL,
    key TEXT NOT NULL,      -- the same for all spellings of a contact
    life TEXT NOT NULL,     -- the stamp with which the binding began, and its Call-ID
    boot REAL NOT NULL,
    wall REAL NOT NULL,
    value TEXT NOT NULL,    -- JSON: the fields of Claim, in their order
    clock INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (aor, "table", key, life)
) WITHOUT ROWID"""

RECORD = """
CREATE TABLE record (
    aor TEXT NOT NULL,
    "table" TEXT NOT NULL,
    kind TEXT NOT NULL,     -- key, cleared, rejected, probation, shorten
    name TEXT NOT NULL,     -- of a key
    boot REAL NOT NULL,
    wall REAL NOT NULL,
    value TEXT NOT NULL,    -- JSON: the fields of Record, in their order
    clock INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (aor, "table", kind, name)
) WITHOUT ROWID"""


def _json(field: str, claim: str = "claim") -> str:
    """SQL for a field of the claim."""
    return f"json_extract({claim}.value, '$[{_at(field)}]')"


def _param(name: str) -> str:
    """SQL for the value of a parameter of the contact, without its quotes."""
    return (
        "(SELECT trim(json_extract(param.value, '$[1]'), '\"')"
        f" FROM json_each(claim.value, '$[{_at('params')}]') AS param"
        f" WHERE json_extract(param.value, '$[0]') = '{name}')"
    )


def _at(field: str) -> int:
    return Claim.__struct_fields__.index(field)


def _record(field: str, record: str) -> str:
    """SQL for a field of a record."""
    return f"json_extract({record}.value, '$[{Record.__struct_fields__.index(field)}]')"


def _of(kind: str) -> str:
    """SQL: ``kind`` is the valid record of that kind of the claim's user."""
    return (
        f'{kind}.aor = claim.aor AND {kind}."table" = claim."table"'
        f" AND {kind}.kind = '{kind}' AND {_record('value', kind)} IS NOT NULL"
    )


def _end(record: str) -> str:
    """SQL for the end of a record, in seconds since the epoch."""
    return f"{record}.wall + {_record('expires_at', record)} - {record}.boot"


_LAST = """(SELECT max(wall) FROM (
    SELECT wall FROM claim UNION ALL SELECT wall FROM record
    UNION ALL SELECT wall FROM state UNION ALL SELECT wall FROM journal
))"""
"""SQL for the time of the last commit, which the view reflects."""


def _rank(claim: str) -> str:
    """SQL for the order of the claims about a contact, as in lives.py."""
    fields = ("stamp", "owner", "begin", "call_id")
    return ", ".join(_json(field, claim) for field in fields)


# The rule of lives.py and state.py in SQL: the greatest claim about a contact holds, if
# the records of the user allow it. A claim that has expired is marked as such when that
# has been reported.
LOCATION = f"""
CREATE VIEW location AS SELECT
    claim."table",
    claim.aor,
    {_json("contact")} AS contact,
    datetime(min(
        claim.wall + {_json("expires_at")} - claim.boot,
        coalesce((
            SELECT {_end("shorten")}
            FROM record AS shorten
            WHERE {_of("shorten")} AND {_json("stamp")} < {_record("stamp", "shorten")}
        ), 1e18)
    ), 'unixepoch') AS expires,
    CAST({_json("q")} AS REAL) AS q,
    {_json("call_id")} AS callid,
    {_json("cseq")} AS cseq,
    (SELECT group_concat(route.value, ', ')
        FROM json_each(claim.value, '$[{_at("path")}]') AS route) AS path,
    nullif({_json("received")}, '') AS received,
    nullif({_json("user_agent")}, '') AS user_agent,
    {_param("+sip.instance")} AS instance,
    CAST({_param("reg-id")} AS INTEGER) AS reg_id,
    datetime({_json("stamp")} / 1000000, 'unixepoch') AS last_modified,
    {_json("owner")} AS owner,
    {_json("source")} AS source,
    {_json("event")} AS event
FROM claim
WHERE NOT {_json("gone")} AND {_json("event")} <> 'expired' AND NOT EXISTS (
    SELECT 1 FROM claim AS other
    WHERE other.aor = claim.aor AND other."table" = claim."table"
        AND other.key = claim.key
        AND ({_rank("other")}) > ({_rank("claim")})
) AND NOT EXISTS (
    SELECT 1 FROM record AS cleared
    WHERE {_of("cleared")} AND {_json("stamp")} < {_record("stamp", "cleared")}
) AND NOT EXISTS (
    SELECT 1 FROM record AS rejected WHERE {_of("rejected")}
) AND NOT EXISTS (
    SELECT 1 FROM record AS probation
    WHERE {_of("probation")} AND {_end("probation")} > {_LAST}
) AND NOT EXISTS (
    SELECT 1 FROM record AS shorten
    WHERE {_of("shorten")} AND {_end("shorten")} <= {_LAST}
        AND {_json("stamp")} < {_record("stamp", "shorten")}
)"""

SCHEMA = Schema(
    # Up to version 3 there were no claims: such a database is refused.
    version=4,
    tables=(
        OwnTable(
            kind=KIND,
            name="claim",
            columns=("table", "aor", "key", "life"),
            create=CLAIM,
        ),
        OwnTable(
            kind=keyring.KIND,
            name="record",
            columns=("table", "aor", "kind", "name"),
            create=RECORD,
        ),
    ),
    views=(LOCATION,),
)
"""The schema of a server's database."""
