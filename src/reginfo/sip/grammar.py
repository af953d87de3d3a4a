"""
Regular expressions for RFC 3261 §25, under their ABNF names.

They are as lenient as practice requires: white space around separators, unescaped
characters in the user part, UTF-8 outside of quotes.
"""

from __future__ import annotations

import re

# Possessive quantifiers, here and below: no expression tries the same octets twice, so
# no datagram can cause seconds of backtracking.
LWS = r"[ \t]*+"
TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"
QUOTED_STRING = r'"(?:[^"\\\x00\r\n]|\\[\x00-\x09\x0b-\x0c\x0e-\x7f])*+"'
HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.\-_]*))"
PORT = r"[0-9]{1,5}"
GEN_VALUE = rf"(?:{QUOTED_STRING}|\[[0-9A-Fa-f:.]+\]|[^\s\x00-\x1f\x7f\"\\;,<>=?]+)"
"""token / host / quoted-string, and other values that parameters have in practice."""

token = re.compile(TOKEN)

sip_uri = re.compile(
    # The user part extends to the first "@": it may contain ";", "?" and "/", as in the
    # example "sip:alice;day=tuesday@atlanta.com" of §19.1.3.
    r"(?P<scheme>[Ss][Ii][Pp][Ss]?):"
    r'(?:(?P<user>[^\x00-\x20\x7f"<>@:\\]+)(?::(?P<password>[^\x00-\x20\x7f"<>@:\\]*))?@)?'
    rf"(?P<host>{HOST})(?::(?P<port>{PORT}))?"
    r'(?P<params>(?:;[^\x00-\x20\x7f"<>?;]+)*)'
    r'(?:\?(?P<headers>[^\x00-\x20\x7f"<>]+))?'
)

tel_uri = re.compile(
    r"(?P<scheme>[Tt][Ee][Ll]):(?P<number>\+?[().\-]*+[0-9A-Fa-f*#][0-9A-Fa-f*#().\-]*)"
    r'(?P<params>(?:;[^\x00-\x20\x7f"<>?;]+)*)'
)

absolute_uri = re.compile(r'[A-Za-z][A-Za-z0-9+\-.]*:[^\x00-\x20\x7f"<>]+')

escaped = re.compile(r"%(?:([0-9A-Fa-f]{2})|)")

via = re.compile(
    rf"(?P<protocol>{TOKEN}{LWS}/{LWS}{TOKEN}){LWS}/{LWS}(?P<transport>{TOKEN})"
    rf"[ \t]+(?P<host>{HOST}){LWS}(?::{LWS}(?P<port>{PORT}))?{LWS}(?P<params>;.*)?"
)

param = re.compile(
    rf"{LWS};{LWS}(?P<name>{TOKEN}){LWS}(?:={LWS}(?P<value>{GEN_VALUE}))?{LWS}"
)

name_addr = re.compile(
    rf"(?P<display>{QUOTED_STRING}{LWS}|[^\"<>,;:@=?]*+)<(?P<uri>[^<>\s]+)>(?P<params>.*)"
)
