"""Registration events of SIP (RFC 3680): who is registered, and who wants to know."""

__version__ = "0.1.0"
