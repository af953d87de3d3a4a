"""Maps each module parameter and function to its equivalent."""

from __future__ import annotations

from typing import NamedTuple


class Equivalent(NamedTuple):
    """The key of `reginfo.toml` that a parameter is converted to."""

    section: str
    key: str
    kind: str = "text"
    "The type of its value: `text`, `number` or `flag`."


STORE = "all durable state is in one file, see [store]"
EXACT = "everything expires exactly when it is due; there is no timer interval"
ONE_PROCESS = "one process keeps its tables in its own memory"
NO_NEED = "not needed here"
SCRIPT = "use a routing script, see docs/script.md"
AS_THE_RFC = "versions follow the RFC"

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
        "server_address": "Contact is the address at which the SUBSCRIBE was received",
        "expires_offset": NO_NEED,
        "min_expires_action": "too short an interval is answered 423 (RFC 6665)",
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
        "waitn_time": "compare [notifier] min_interval",
        "to_tag_pref": NO_NEED,
        "timeout_rm_subs": "a silent subscriber is removed (RFC 6665 §4.2.2)",
        "send_fast_notify": "the first NOTIFY is sent at once (RFC 6665 §4.2.1.2)",
        "enable_sphere_check": "there are no presence rules for registrations",
    },
    "pua": {
        "min_expires": Equivalent("pua", "min_expires", "number"),
        "outbound_proxy": Equivalent("pua_reginfo", "outbound_proxy"),
        "default_expires": "a publication lasts as long as its longest contact",
        "db_url": STORE,
        "db_mode": STORE,
        "db_table": STORE,
        "update_period": "publications are refreshed automatically before they expire",
        "hash_size": ONE_PROCESS,
        "dlginfo_increase_version": AS_THE_RFC,
        "reginfo_increase_version": "each watcher has its own versions (RFC 3680 §5.1)",
        "check_remote_contact": NO_NEED,
        "fetch_rows": STORE,
    },
    "usrloc": {
        "use_domain": Equivalent("usrloc", "use_domain", "flag"),
        "db_url": STORE,
        "db_mode": "everything answered with 200 is on disk, see [store]",
        "working_mode_preset": "everything answered with 200 is on disk, see [store]",
        "cluster_mode": "servers notify each other, see [[peer]]",
        "location_cluster": "servers notify each other, see [[peer]]",
        "timer_interval": EXACT,
        "timer_procs": EXACT,
        "db_timer_clean": EXACT,
        "hash_size": ONE_PROCESS,
        "preload": "all tables are loaded at the start",
        "matching_mode": "contacts are compared by the rules of RFC 3261 §19.1.4",
        "cseq_delay": "a retransmitted REGISTER is recognised by its branch",
        "desc_time_order": "lookup sorts by q, then by the time of the last REGISTER",
        "nat_bflag": "see [nat]: contacts behind a NAT are detected",
        "ka_mode": "see [nat] ping",
        "ka_interval": Equivalent("nat", "ping_interval", "number"),
        "ka_from": Equivalent("nat", "ping_from"),
        "handle_lost_tcp": "if the connection is closed: 430 (RFC 5626 §5.3)",
        "close_expired_tcp": NO_NEED,
        "xavp_contact": SCRIPT,
        "contact_id_column": STORE,
    },
    "registrar": {
        "default_expires": Equivalent("registrar", "default_expires", "number"),
        "min_expires": Equivalent("registrar", "min_expires", "number"),
        "max_expires": Equivalent("registrar", "max_expires", "number"),
        "max_contacts": Equivalent("registrar", "max_contacts", "number"),
        "default_q": "a contact without q counts as q=1 (RFC 3261 §16.6)",
        "append_branches": "lookup adds all contacts as targets, by q",
        "use_path": "Path is always accepted (RFC 3327)",
        "path_mode": "Path is accepted if the user agent supports it (RFC 3327 §5.3)",
        "path_use_received": "see [nat] fix",
        "received_avp": "see [nat] fix: the source of a REGISTER is always kept",
        "received_param": "see [nat] fix: the source of a REGISTER is always kept",
        "tcp_persistent_flag": NO_NEED,
        "tcp_keepalive": NO_NEED,
        "case_sensitive": "users are compared by the rules of RFC 3261 §19.1.4",
        "realm_prefix": "see [server] domains",
        "gruu_enabled": "GRUUs from other registrars are reported; none are created",
        "outbound_mode": "see [nat]",
        "method_filtering": "lookup honours the methods parameter of a contact",
        "sock_flag": NO_NEED,
        "sock_hdr_name": NO_NEED,
        "retry_after": "a temporary 500 has Retry-After",
        "expires_max_deviation": NO_NEED,
        "attr_avp": SCRIPT,
        "reg_callid_avp": SCRIPT,
        "xavp_cfg": SCRIPT,
        "xavp_rcd": SCRIPT,
        "event_callback": "see @route.event in docs/script.md",
    },
}
"""By module and name: the equivalent key, or the reason why there is none."""

FUNCTIONS = {
    "reginfo_handle_notify": "msg.reginfo_handle_notify(...)",
    "reginfo_subscribe": "msg.reginfo_subscribe(...)",
    "reginfo_update": "msg.reginfo_update(...)",
    "reginfo_disable_publish": "msg.reginfo_disable_publish()",
    "ul_add_key": "msg.ul_add_key(...)",
    "ul_get_key": "msg.ul_get_key(...)",
    "ul_rm_key": "msg.ul_rm_key(...)",
    "save": "msg.save(...), automatic for each REGISTER",
    "lookup": "msg.lookup(...), automatic for users of our domains",
    "unregister": "msg.unregister(...)",
    "registered": "msg.bindings(...)",
    "handle_subscribe": "msg.handle_subscribe(), automatic",
    "handle_publish": "msg.handle_publish(), automatic for peers",
    "www_authorize": "msg.www_authorize(...), automatic with [auth]",
    "www_challenge": "msg.www_challenge(...), automatic with [auth]",
    "proxy_authorize": "msg.proxy_authorize(...), automatic with [auth]",
    "proxy_challenge": "msg.proxy_challenge(...), automatic with [auth]",
    "consume_credentials": "msg.consume_credentials(), automatic with [auth]",
}
"""The equivalents of the module functions in a routing script."""
