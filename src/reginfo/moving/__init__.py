"""Converts configurations of OpenSIPS and Kamailio."""
