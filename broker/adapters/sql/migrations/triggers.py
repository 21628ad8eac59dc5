"""PostgreSQL's triggers: a change of what brokers hold is told to all of them, by its commit."""

from alembic import op

TOLD_ONE_BY_ONE = 1000
"""Tenants that one statement may change and name; beyond, everything counts as changed."""

_TOPICS = {
    "keys": "tenant",
    "key_revisions": "tenant",
    "tenant_policies": "tenant",
    "marks": "marks",
    "agreements": "agreements",
}
"""Which tables are watched, and as what their changes are told."""

_EVENTS = {
    "INSERT": "REFERENCING NEW TABLE AS changed",
    "UPDATE": "REFERENCING OLD TABLE AS former NEW TABLE AS changed",
    "DELETE": "REFERENCING OLD TABLE AS changed",
}

_TELL_TENANTS = f"""
CREATE FUNCTION keybroker_tell_tenants() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    tenants text[];
BEGIN
    IF current_setting('keybroker.is_resealing', true) = 'on' THEN
        RETURN NULL;  -- what tenants' secrets are stays the same
    END IF;
    IF TG_OP = 'UPDATE' THEN
        SELECT array_agg(tenant) INTO tenants
        FROM (SELECT tenant FROM changed UNION SELECT tenant FROM former
              LIMIT {TOLD_ONE_BY_ONE + 1}) AS named;
    ELSE
        SELECT array_agg(tenant) INTO tenants
        FROM (SELECT DISTINCT tenant FROM changed LIMIT {TOLD_ONE_BY_ONE + 1}) AS named;
    END IF;
    IF tenants IS NULL THEN
        RETURN NULL;
    END IF;
    IF cardinality(tenants) > {TOLD_ONE_BY_ONE} THEN
        INSERT INTO changes (topic, name, xid, at) VALUES
            ('everything', '', pg_current_xact_id(), extract(epoch FROM clock_timestamp()));
    ELSE
        INSERT INTO changes (topic, name, xid, at)
        SELECT 'tenant', tenant, pg_current_xact_id(), extract(epoch FROM clock_timestamp())
        FROM unnest(tenants) AS tenant;
    END IF;
    PERFORM pg_notify('keybroker', '');
    RETURN NULL;
END $$
"""  # noqa: S608 - numbers of this module

_TELL_TOPIC = """
CREATE FUNCTION keybroker_tell_topic() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed) THEN
        INSERT INTO changes (topic, name, xid, at) VALUES
            (TG_ARGV[0], '', pg_current_xact_id(), extract(epoch FROM clock_timestamp()));
        PERFORM pg_notify('keybroker', '');
    END IF;
    RETURN NULL;
END $$
"""

_TELL_EVERYTHING = """
CREATE FUNCTION keybroker_tell_everything() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (topic, name, xid, at) VALUES
        ('everything', '', pg_current_xact_id(), extract(epoch FROM clock_timestamp()));
    PERFORM pg_notify('keybroker', '');
    RETURN NULL;
END $$
"""

_TELL_FACTS = """
CREATE FUNCTION keybroker_tell_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('keybroker_facts', provider)
    FROM (SELECT DISTINCT provider FROM changed) AS named;
    RETURN NULL;
END $$
"""

_FUNCTIONS = {
    "keybroker_tell_tenants": _TELL_TENANTS,
    "keybroker_tell_topic": _TELL_TOPIC,
    "keybroker_tell_everything": _TELL_EVERYTHING,
    "keybroker_tell_facts": _TELL_FACTS,
}


def names() -> list[str]:
    """All triggers there are."""
    events = (*_EVENTS, "TRUNCATE")
    return [*(_name(table, event) for table in _TOPICS for event in events), _FACTS]


def make() -> None:
    """Make the functions, and the triggers that call them."""
    for function in _FUNCTIONS.values():
        op.execute(function)
    for table, topic in _TOPICS.items():
        for event, tables in _EVENTS.items():
            called = "tenants()" if topic == "tenant" else f"topic('{topic}')"
            _make_trigger(table, event, tables, called)
        _make_trigger(table, "TRUNCATE", "", "everything()")
    _make_trigger("facts", "INSERT", _EVENTS["INSERT"], "facts()")


def drop() -> None:
    """Drop the functions, and with them their triggers."""
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}() CASCADE")


def _name(table: str, event: str) -> str:
    return f"keybroker_{table}_{event.lower()}"


_FACTS = _name("facts", "INSERT")


def _make_trigger(table: str, event: str, tables: str, called: str) -> None:
    op.execute(
        f"CREATE TRIGGER {_name(table, event)} AFTER {event} ON {table} {tables}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION keybroker_tell_{called}"
    )
