"""The parameters of the modules, and what each is here."""

from __future__ import annotations

from typing import NamedTuple


class Equivalent(NamedTuple):
    """A key of ours."""

    section: str
    key: str
    kind: str = "text"
    "How its value is written: `text`, `number` or `flag`."


STORE = "all that has to last is in one file, see [store]"
EXACT = "everything ends when it is due: there is no timer to set"
ONE_PROCESS = "there is one process, and it has what it knows in its memory"
NO_NEED = "there is no need for it here"
SCRIPT = "a routing script says that: see docs/script.md"
AS_THE_RFC = "that is as the RFC has it"

PARAMETERS: dict[str, dict[str, Equivalent | str]] = {
    "pua_reginfo": {
        "default_domain": Equivalent("pua_reginfo", "default_domain"),
        "publish_reginfo": Equivalent("pua_reginfo", "publish_reginfo", "flag"),
        "outbound_proxy": Equivalent("pua_reginfo", "outbound_proxy"),
        "server_address": Equivalent("pua_reginfo", "server_address"),
        "ul_domain": Equivalent("pua_reginfo", "ul_domain"),
        "ul_identities_key": Equivalent("pua_reginfo", "ul_identities_key"),
    },
    "presence_reginfo": {
        "default_expires": Equivalent("presence_reginfo", "default_expires", "number"),
        "aggregate_presentities": Equivalent(
            "presence_reginfo", "aggregate_presentities", "flag"
        ),
    },
    "presence": {
        "min_expires": Equivalent("presence_reginfo", "min_expires", "number"),
        "max_expires": Equivalent("presence_reginfo", "max_expires", "number"),
        "server_address": "Contact is the address at which a SUBSCRIBE came in",
        "expires_offset": NO_NEED,
        "min_expires_action": "too short a time is answered 423, as RFC 6665 has it",
        "db_url": STORE,
        "db_mode": STORE,
        "subs_db_mode": STORE,
        "publ_cache": STORE,
        "fallback2db": STORE,
        "presentity_table": STORE,
        "active_watchers_table": STORE,
        "watchers_table": STORE,
        "db_update_period": STORE,
        "clean_period": EXACT,
        "subs_htable_size": ONE_PROCESS,
        "pres_htable_size": ONE_PROCESS,
        "notifier_processes": ONE_PROCESS,
        "waitn_time": "[notifier] min_interval is its like",
        "to_tag_pref": NO_NEED,
        "timeout_rm_subs": "who does not answer is forgotten (RFC 6665 §4.2.2)",
        "send_fast_notify": "the first NOTIFY follows at once (RFC 6665 §4.2.1.2)",
        "enable_sphere_check": "there are no presence rules for registrations",
    },
    "pua": {
        "min_expires": Equivalent("pua", "min_expires", "number"),
        "outbound_proxy": Equivalent("pua_reginfo", "outbound_proxy"),
        "default_expires": "a publication lasts as long as its longest contact",
        "db_url": STORE,
        "db_mode": STORE,
        "db_table": STORE,
        "update_period": "publications are refreshed in good time by themselves",
        "hash_size": ONE_PROCESS,
        "dlginfo_increase_version": AS_THE_RFC,
        "reginfo_increase_version": "versions count for each watcher (RFC 3680 §5.1)",
        "check_remote_contact": NO_NEED,
        "fetch_rows": STORE,
    },
    "usrloc": {
        "use_domain": Equivalent("usrloc", "use_domain", "flag"),
        "db_url": STORE,
        "db_mode": "what is answered 200 is on disk, see [store]",
        "working_mode_preset": "what is answered 200 is on disk, see [store]",
        "cluster_mode": "servers tell each other, see [[peer]]",
        "location_cluster": "servers tell each other, see [[peer]]",
        "timer_interval": EXACT,
        "timer_procs": EXACT,
        "db_timer_clean": EXACT,
        "hash_size": ONE_PROCESS,
        "preload": "all tables are loaded at the start",
        "matching_mode": "contacts are compared as RFC 3261 §19.1.4 has it",
        "cseq_delay": "a REGISTER that comes again is known by its branch",
        "desc_time_order": "lookup goes by q, and by the time of the last REGISTER",
        "nat_bflag": "see [nat]: who is behind one is found out",
        "ka_mode": "see [nat] ping",
        "ka_interval": Equivalent("nat", "ping_interval", "number"),
        "ka_from": Equivalent("nat", "ping_from"),
        "handle_lost_tcp": "a stream that is gone is answered 430 (RFC 5626 §5.3)",
        "close_expired_tcp": NO_NEED,
        "xavp_contact": SCRIPT,
        "contact_id_column": STORE,
    },
    "registrar": {
        "default_expires": Equivalent("registrar", "default_expires", "number"),
        "min_expires": Equivalent("registrar", "min_expires", "number"),
        "max_expires": Equivalent("registrar", "max_expires", "number"),
        "max_contacts": Equivalent("registrar", "max_contacts", "number"),
        "default_q": "a contact without q has 1, as RFC 3261 §16.6 takes it",
        "append_branches": "lookup makes all contacts targets, by q",
        "use_path": "Path is always taken (RFC 3327)",
        "path_mode": "Path is taken from who supports it (RFC 3327 §5.3)",
        "path_use_received": "see [nat] fix",
        "received_avp": "see [nat] fix: where a REGISTER came from is kept",
        "received_param": "see [nat] fix: where a REGISTER came from is kept",
        "tcp_persistent_flag": NO_NEED,
        "tcp_keepalive": NO_NEED,
        "case_sensitive": "users are compared as RFC 3261 §19.1.4 has it",
        "realm_prefix": "see [server] domains",
        "gruu_enabled": "GRUUs are shown where others have made them, and not made",
        "outbound_mode": "see [nat]",
        "method_filtering": "lookup goes by the methods that a contact names",
        "sock_flag": NO_NEED,
        "sock_hdr_name": NO_NEED,
        "retry_after": "a 500 says when to try again",
        "expires_max_deviation": NO_NEED,
        "attr_avp": SCRIPT,
        "reg_callid_avp": SCRIPT,
        "xavp_cfg": SCRIPT,
        "xavp_rcd": SCRIPT,
        "event_callback": "see @route.event in docs/script.md",
    },
}
"""By module and name: a key of ours, or why there is none."""

FUNCTIONS = {
    "reginfo_handle_notify": "msg.reginfo_handle_notify(...)",
    "reginfo_subscribe": "msg.reginfo_subscribe(...)",
    "reginfo_update": "msg.reginfo_update(...)",
    "reginfo_disable_publish": "msg.reginfo_disable_publish()",
    "ul_add_key": "msg.ul_add_key(...)",
    "ul_get_key": "msg.ul_get_key(...)",
    "ul_rm_key": "msg.ul_rm_key(...)",
    "save": "msg.save(...), done by itself for each REGISTER",
    "lookup": "msg.lookup(...), done by itself for users of ours",
    "unregister": "msg.unregister(...)",
    "registered": "msg.bindings(...)",
    "handle_subscribe": "msg.handle_subscribe(), done by itself",
    "handle_publish": "msg.handle_publish(), done by itself for peers",
}
"""Functions of the modules in a route, and what they are in ours."""
