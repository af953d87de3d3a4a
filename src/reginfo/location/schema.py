"""The table of bindings in a database, and the view in which an operator reads it."""

from __future__ import annotations

from ..ledger.sqlite import CLOCK, OwnTable, Schema
from ..reg.document import ContactEvent, ContactState
from .binding import KIND, Binding

CLAIM = """
CREATE TABLE claim (
    aor TEXT NOT NULL,
    "table" TEXT NOT NULL,
    key TEXT NOT NULL,      -- the same for all spellings of a contact
    callid TEXT NOT NULL,
    boot REAL NOT NULL,
    wall REAL NOT NULL,
    value TEXT NOT NULL,    -- JSON: the fields of Binding, in their order
    clock INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (aor, "table", key, callid)
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
    return Binding.__struct_fields__.index(field)


_ACTIVE = ", ".join(
    f"'{event.value}'" for event in ContactEvent if event.state is ContactState.ACTIVE
)

# One of several claims for a contact holds, as in merge.py. They stand side by side.
LOCATION = f"""
CREATE VIEW location AS SELECT
    "table",
    aor,
    {_json("contact")} AS contact,
    datetime(wall + {_json("expires_at")} - boot, 'unixepoch') AS expires,
    CAST({_json("q")} AS REAL) AS q,
    callid,
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
WHERE {_json("event")} IN ({_ACTIVE}) AND NOT EXISTS (
    SELECT 1 FROM claim AS other
    WHERE other.aor = claim.aor AND other."table" = claim."table"
        AND other.key = claim.key
        AND ({_json("stamp", "other")}, {_json("owner", "other")}, other.callid)
            > ({_json("stamp")}, {_json("owner")}, claim.callid)
)"""

SCHEMA = Schema(
    # Version 1 was never released.
    version=3,
    tables=(
        OwnTable(
            kind=KIND,
            name="claim",
            columns=("table", "aor", "key", "callid"),
            create=CLAIM,
        ),
    ),
    views=(LOCATION,),
    migrations={
        2: (
            "ALTER TABLE journal ADD COLUMN clock INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE state ADD COLUMN clock INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE claim ADD COLUMN clock INTEGER NOT NULL DEFAULT 0",
            CLOCK,
        ),
    },
)
"""The schema of a server's database."""
